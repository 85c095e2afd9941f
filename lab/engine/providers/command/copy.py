"""Copies to a host over SFTP, as pulumi-command copies.

source  | target is a folder | target does not exist | target is a file
folder  | target/folder      | target/folder         | error
folder/ | target             | target                | error
file    | target/file        | target                | overwritten
text    | error              | target                | overwritten
"""

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any

import asyncssh

from lab.engine.provider import Archive, Asset, ProviderError, Values
from lab.engine.providers.command.dial import at_once, connect

__all__ = ["copy_to_remote"]


async def copy_to_remote(inputs: Values) -> None:
    """Copy a file, a text or a folder. Raises `ProviderError`."""
    source, target = inputs["source"], inputs["remotePath"]
    async with connect(inputs["connection"]) as connection:
        try:
            async with at_once(connection):
                client = await connection.start_sftp_client()
            async with client as sftp:
                await _copy(sftp, source, target)
        except (OSError, asyncssh.Error) as error:
            reason = error.reason if isinstance(error, asyncssh.Error) else str(error)
            raise ProviderError(f"failed to copy to {target}: {reason}") from error


async def _copy(sftp: asyncssh.SFTPClient, source: Asset | Archive, target: str) -> None:
    into_folder = await sftp.isdir(target)
    if source.text is not None:
        if into_folder:
            reason = "when using a text asset, remotePath must be a file path"
            raise ProviderError(f"remote path {target} is a directory; {reason}")
        await _write(sftp, source.text.encode(), target)
        return
    folder, files = await asyncio.to_thread(_files, source.path or "")
    if folder and await sftp.exists(target) and not into_folder:
        raise ProviderError(f"remote path {target} exists but is not a directory")
    for name, path in files:
        into = _inside(target, name) if folder or into_folder else target
        if path is None:
            await sftp.makedirs(into, exist_ok=True)
        else:
            await _write(sftp, await asyncio.to_thread(path.read_bytes), into)


def _files(source: str) -> tuple[bool, list[tuple[str, Path | None]]]:
    """Return whether the source is a folder, and what to make: its name in the target, and its content.

    A folder has no content.
    """
    path = Path(source)
    if not path.is_dir():
        return False, [(path.name, path)]
    base = path if source.endswith("/") else path.parent
    found = [path, *sorted(path.rglob("*"))]
    return True, [(str(one.relative_to(base)), None if one.is_dir() else one) for one in found]


async def _write(sftp: asyncssh.SFTPClient, content: bytes, target: str) -> None:
    """Write a file, in a folder that is made if it is missing: to look for that first takes time."""
    file: Any
    try:
        file = await sftp.open(target, "wb")
    except asyncssh.SFTPNoSuchFile:
        await sftp.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        file = await sftp.open(target, "wb")
    async with file:
        await file.write(content)


def _inside(folder: str, name: str) -> str:
    return str(PurePosixPath(folder, name))
