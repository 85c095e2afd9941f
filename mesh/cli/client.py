"""The configuration of a client: wg-quick's file, or the same as a QR code for the apps on phones.

The file holds private keys: on disk only its owner can read it.
"""

import contextlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import segno

from mesh.cli.engine import CliError
from mesh.cli.outputs import NOT_MADE
from mesh.outputs import CalledOutputs, ClientOutputs, MeshOutputs

__all__ = ["PLACEHOLDER", "as_file", "client_of", "in_terminal", "own_key_remark", "png", "write_private"]

PLACEHOLDER: Final = "<the private key of this device>"
"""Stands for a key that was made on the device; `wg` refuses this text, so it is never taken for a key."""
_OWN: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PIXELS: Final = 6  # of a module: a phone reads that from a screen


def client_of(mesh: MeshOutputs, name: str) -> ClientOutputs:
    """Return a client that is made and takes part. Raises `CliError`."""
    if name not in mesh.clients:
        known = ", ".join(mesh.clients)
        has = f"it has {known}" if known else "it has none: docs/clients.md shows how to add one"
        what = "a node, not a client" if name in mesh.nodes else "not a client of this stack"
        raise CliError(f"{name!r} is {what}; {has}")
    client = mesh.clients[name]
    if client is None:
        raise CliError(f"{name}: {NOT_MADE}")
    if not client.enabled:
        raise CliError(f"{name} is not enabled: set `enabled: true` for the client and run `up`")
    if not client.peers:
        raise CliError(f"{name} has no tunnel: no node in its `to` is enabled")
    return client


def as_file(client: ClientOutputs) -> str:
    """Return the file that wg-quick and the apps read, secrets included."""
    own = () if client.private_key else ("# this key was made on the device: put its private half here",)
    lines = [
        f"# {client.name}: made by `mesh client`; change the stack file, not this",
        "[Interface]",
        *own,
        f"PrivateKey = {client.private_key or PLACEHOLDER}",
        f"Address = {client.address}",
        f"MTU = {client.mtu}",
        *(line for peer in client.peers for line in _section(peer)),
    ]
    return "\n".join(lines) + "\n"


def _section(peer: CalledOutputs) -> Iterator[str]:
    yield from ("", f"# {peer.name}", "[Peer]")
    yield f"PublicKey = {peer.public_key}"
    yield f"PresharedKey = {peer.preshared_key}"
    yield f"AllowedIPs = {peer.allowed_ips}"
    yield f"Endpoint = {peer.endpoint}"
    if peer.keepalive:
        yield f"PersistentKeepalive = {peer.keepalive}"


def own_key_remark(client: ClientOutputs) -> str | None:
    """Return what is said of a file that lacks its private key; None of a whole one."""
    if client.private_key:
        return None
    return (
        f"{client.name} has a key of its own: put the private key in place of {PLACEHOLDER!r}, on the device"
    )


def in_terminal(client: ClientOutputs) -> str:
    """Return the QR code in characters for a terminal. Raises `CliError`."""
    drawn = io.StringIO()
    _code(client).terminal(out=drawn, compact=True)
    return drawn.getvalue()


def png(client: ClientOutputs) -> bytes:
    """Return the QR code as a PNG image. Raises `CliError`."""
    image = io.BytesIO()
    _code(client).save(image, kind="png", scale=_PIXELS)
    return image.getvalue()


def _code(client: ClientOutputs) -> segno.QRCode:
    remark = own_key_remark(client)
    if remark is not None:
        raise CliError(f"{remark}; a QR code would lack the key: take the file, without --qr and --png")
    # without comments, which only make the picture finer
    lines = [line for line in as_file(client).splitlines() if line and not line.startswith("#")]
    try:
        return segno.make_qr("\n".join(lines), error="l")
    except segno.DataOverflowError:
        raise CliError(
            f"{client.name} has tunnels to {len(client.peers)} nodes, too many for one QR code: take "
            f"the file, or name fewer nodes in `to`"
        ) from None


def write_private(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file that only its owner can read; `force` replaces one that is there. Raises `CliError`."""
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        raise CliError(f"{folder}: {error.strerror}") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise CliError(
            f"{folder}: others can write there, and could replace the file with the keys; take another folder"
        )
    if path.exists() and not force:
        raise CliError(f"{path} is there already; --force replaces the file")
    try:
        _replace(path, content)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), _OWN)
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise CliError(
                    f"{path.parent}: others can read all files there (a file system without permissions); "
                    f"take another folder"
                )
            file.write(content)
        fresh.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
