"""What one peer has said since this node's rotator started: how lately, and whether it answers."""

from __future__ import annotations

from .messages import HAS_BACK, HEARS_NEW, HEARS_NEXT, Kind, Way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .messages import Message

__all__ = ["HEARS", "Hearing"]

HEARS = {Way.OLD: 0, Way.NEXT: HEARS_NEXT, Way.NEW: HEARS_NEW}
"""By which bit a message says that its sender hears the receiver on the way that the message takes."""

# Seconds. Evidence: five messages within 2.5 s, the first at least 1 s old, so handshakes are over.
_WINDOW, _EVIDENCE, _AGE = 2.5, 5, 1.0
_LATELY = 1.5
# Five of the slowest words: who says none for so long is not there.
_SILENCE = 10.0


class Hearing:
    """What is known of one peer; times are seconds of a monotonic clock.

    `said` has when the peer first said, by the way itself, that it sends all packets so; `has_back` when it
    first confirmed that it knows this node to send by wg0 again.
    """

    def __init__(self) -> None:
        self.said: dict[Way, float] = {}
        self.has_back: Optional[float] = None
        self._last: dict[Way, float] = {}
        self._answers: dict[Way, list[float]] = {way: [] for way in Way}

    def note(self, message: Message, now: float) -> bool:
        """Remember a message; tells whether it says more than those before."""
        way, answers = message.way, self._answers[message.way]
        news = not self.is_there(way, now)
        self._last[way] = now
        if message.hears & HEARS[way]:
            news = news or not self.answers(way, now)
            answers[:] = [*(time for time in answers if now - time <= _WINDOW), now]
        if message.kind is Kind.ROUTE and way not in self.said:
            self.said[way] = now
            news = True
        if message.hears & HAS_BACK and self.has_back is None:
            self.has_back = now
            news = True
        return news

    def is_heard(self, way: Way, now: float) -> bool:
        """Tell whether the peer may be told that it is heard on this way."""
        return way in self._last and now - self._last[way] <= _LATELY

    def is_there(self, way: Way, now: float) -> bool:
        """Tell whether anything came on this way, however slow the peer speaks."""
        return way in self._last and now - self._last[way] <= _SILENCE

    def answers(self, way: Way, now: float) -> bool:
        """Tell whether the peer said on this way that it hears this node, however slow it speaks."""
        answers = self._answers[way]
        return bool(answers) and now - answers[-1] <= _SILENCE

    def is_evident(self, way: Way, now: float) -> bool:
        """Tell whether both directions of a way have worked for long enough to send all packets by it."""
        times = [time for time in self._answers[way] if now - time <= _WINDOW]
        return len(times) >= _EVIDENCE and now - times[0] >= _AGE
