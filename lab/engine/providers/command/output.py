"""What a command prints: both streams apart for the state, together for an error."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Printed", "collect", "quoted"]

_CHUNK_BYTES = 65536
_SHORT = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
_SHORT |= {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class _Stream(Protocol):
    async def read(self, n: int = -1, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Printed:
    """The output of a command that has ended."""

    stdout: bytes
    stderr: bytes
    together: bytes
    """Both, in the order of arrival."""

    def outputs(self) -> dict[str, str]:
        """Return it as a resource's outputs: text, less one newline at the end of each."""
        return {
            name: value.decode(errors="replace").removesuffix("\n")
            for name, value in (("stdout", self.stdout), ("stderr", self.stderr))
        }

    def failure(self, ended: str, command: str) -> str:
        """Return the real provider's error text."""
        return f"{ended}: running {quoted(command)}:\n{self.together.decode(errors='replace')}"


async def collect(stdout: _Stream, stderr: _Stream) -> Printed:
    """Read both streams to their ends."""
    together: list[bytes] = []

    async def drain(stream: _Stream) -> bytes:
        own = []
        while chunk := await stream.read(_CHUNK_BYTES):
            own.append(chunk)
            together.append(chunk)
        return b"".join(own)

    out, err = await asyncio.gather(drain(stdout), drain(stderr))
    return Printed(stdout=out, stderr=err, together=b"".join(together))


def quoted(command: str) -> str:
    """Return a command as Go's %q prints it."""
    return '"' + "".join(_SHORT.get(char) or _escaped(char) for char in command) + '"'


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
