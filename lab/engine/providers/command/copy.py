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
    found = await _kind(sftp, target)
    into_folder = found == asyncssh.FILEXFER_TYPE_DIRECTORY
    if source.text is not None:
        if into_folder:
            reason = "when using a text asset, remotePath must be a file path"
            raise ProviderError(f"remote path {target} is a directory; {reason}")
        await _write(sftp, source.text.encode(), target, missing=found is None)
        return
    folder, files = await asyncio.to_thread(_files, source.path or "")
    if folder and found is not None and not into_folder:
        raise ProviderError(f"remote path {target} exists but is not a directory")
    for name, path in files:
        into = _inside(target, name) if folder or into_folder else target
        if path is None:
            await _make_folder(sftp, PurePosixPath(into))
        else:
            content = await asyncio.to_thread(path.read_bytes)
            await _write(sftp, content, into, missing=found is None and not folder)


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


async def _kind(sftp: asyncssh.SFTPClient, path: str) -> int | None:
    """Return the type of what is there (FILEXFER_TYPE_...), None where nothing is."""
    try:
        return (await sftp.stat(path)).type
    except asyncssh.SFTPNoSuchFile:
        return None


async def _write(sftp: asyncssh.SFTPClient, content: bytes, target: str, *, missing: bool) -> None:
    """Write a file. With `missing` there is none, and perhaps no folder for it."""
    if missing:
        await _make_folder(sftp, PurePosixPath(target).parent)
    file: Any = await sftp.open(target, "wb")
    async with file:
        await file.write(content)


async def _make_folder(sftp: asyncssh.SFTPClient, path: PurePosixPath) -> None:
    """Make a folder unless it is there, its parents first. It looks from below: most of them are there."""
    found = await _kind(sftp, str(path))
    if found == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return
    if found is not None:
        raise asyncssh.SFTPFailure(f"mkdir {path}: not a directory")
    if path != path.parent:
        await _make_folder(sftp, path.parent)
    try:
        await sftp.mkdir(path)
    except asyncssh.SFTPError:
        if not await sftp.isdir(path):  # made by another copy meanwhile
            raise


def _inside(folder: str, name: str) -> str:
    return str(PurePosixPath(folder, name))
