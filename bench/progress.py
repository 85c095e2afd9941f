"""What a run tells while it measures, and the failures that it outlives."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

__all__ = ["Failures", "Say", "say"]

Say = Callable[[str], None]
_BEGAN: Final = time.monotonic()


def say(line: str) -> None:
    """Print a line with the time of day and the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGAN), 60)
    print(f"bench: {datetime.now(UTC):%H:%M:%S} {minutes:3}:{seconds:02} {line}", flush=True)


class Failures:
    """What could not be measured, by name; all else goes on."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.found: dict[str, str] = {}

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """Note and tell what fails in the block, and go on after it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever one measurement fails of, the others are made
            message = f"{type(error).__name__}: {error}".strip()
            self.found[name] = message
            self._say(f"FAILED {name}: {message}")
