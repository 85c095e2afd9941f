"""Copies to a host over SFTP."""

from pathlib import Path, PurePosixPath
from typing import Any

import asyncssh

from lab.engine.provider import Archive, Asset, ProviderError, Values
from lab.engine.providers.command.remote import connect

__all__ = ["copy_to_remote", "differs"]


def differs(former: Values, news: Values) -> bool:
    """Whether there is another content or another place; other changes copy nothing."""
    old, new = former.get("source"), news["source"]
    return getattr(old, "sha256", None) != new.sha256 or former.get("remotePath") != news["remotePath"]


async def copy_to_remote(inputs: Values) -> None:
    """Copy a file, a text or a folder. Raises `ProviderError`."""
    source, target = inputs["source"], inputs["remotePath"]
    async with connect(inputs["connection"]) as connection:
        try:
            async with connection.start_sftp_client() as sftp:
                await _copy(sftp, source, target)
        except (OSError, asyncssh.Error) as error:
            raise ProviderError(f"failed to copy to {target}: {error}") from error


async def _copy(sftp: Any, source: Asset | Archive, target: str) -> None:
    if source.text is not None:
        if await sftp.isdir(target):
            raise ProviderError(
                f"remote path {target} is a directory; when using a text asset, remotePath must be a file path"
            )
        await sftp.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        async with sftp.open(target, "wb") as file:
            await file.write(source.text.encode())
        return
    if source.path is None:
        raise ProviderError(f"{target}: this engine copies files, folders and texts only")
    path = Path(source.path)
    if path.is_dir():
        await sftp.put(str(path), target, recurse=True)
        return
    if await sftp.isdir(target):
        target = str(PurePosixPath(target, path.name))
    await sftp.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
    async with sftp.open(target, "wb") as file:
        await file.write(path.read_bytes())
