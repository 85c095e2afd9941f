"""The state machine of one node: what was heard and the time in, steps and words out.

A step is promised, done, then said. So the caller writes what `next` returns to the disk, brings interfaces
and redirects to it, and hands it to `recorded`: only then do words speak of it. No step is ever taken back.
"""

from __future__ import annotations

from ..records import dataclass, replace
from .hearing import Hearing
from .messages import HAS_BACK, HEARD_MOVED, HEARS_NEW, HEARS_NEXT, Kind, Way
from .progress import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Optional

    from .messages import Message
    from .peers import Known
    from .progress import Progress

__all__ = ["Pairs", "Word"]

# Seconds.
_FAST, _SLOW, _FAST_FOR = 0.25, 2.0, 60.0
_QUIET = 3.0
_SHY = 1.5
_LINGER = 600.0


@dataclass(frozen=True)
class Word:
    """What is to be sent to a peer; the caller adds the time, and it is a message."""

    peer: str
    kind: Kind
    way: Way
    route: Way
    hears: int


class Pairs:
    """A node's pairs with all peers that are spoken to; times are seconds of a monotonic clock.

    It lives as long as a process and a document: all that must outlive them is in `progress`.
    """

    def __init__(
        self,
        peers: Sequence[Known],
        progress: Progress,
        *,
        now: float,
        next_port: int,
        settled: frozenset[str] = frozenset(),
    ) -> None:
        self.progress = progress
        self._peers = {peer.name: peer for peer in peers}
        self._heard = {name: Hearing() for name in self._peers}
        self._next_port = next_port
        self._since = now
        self._fast_until = dict.fromkeys(self._peers, now + _FAST_FOR)
        self._due = dict.fromkeys(self._peers, now)
        self._evidence: frozenset[str] = frozenset()
        self.settled(settled)

    def settled(self, names: Iterable[str]) -> None:
        """Take the controller's word that peers are at their end, or gone: nothing is awaited of them."""
        self._evidence |= frozenset(names) & self._awaited()

    def heard(self, peer: str, message: Message, *, on_next: bool, now: float) -> None:
        """Take a message, which came on wg0-next or wg0; it counts on the interface it speaks of."""
        if peer not in self._heard or not self._counts(message, on_next):
            return
        if self._heard[peer].note(message, now):
            self._fast_until[peer] = now + _FAST_FOR
            self._due[peer] = min(self._due[peer], now + _FAST)

    def _counts(self, message: Message, on_next: bool) -> bool:  # noqa: FBT001 - as it was heard
        if (message.way is Way.NEXT) != on_next:
            return False
        if message.kind is Kind.ROUTE and message.route is not message.way:
            return False
        return on_next or (message.way is Way.OLD) == (self.progress.phase is Phase.BOTH)

    def next(self, now: float) -> Optional[Progress]:
        """Return what may be recorded now, all in one; None where nothing may."""
        progress = replace(self.progress, settled=self.progress.settled | self._evidence)
        if progress.phase is Phase.BOTH:
            progress = replace(progress, moved=progress.moved | self._evident(Way.NEXT, now))
        else:
            if progress.phase is Phase.REKEYED:
                progress = replace(progress, back=progress.back | self._evident(Way.NEW, now))
            said = {name for name, heard in self._heard.items() if Way.NEW in heard.said}
            confirmed = {name for name, heard in self._heard.items() if heard.has_back is not None}
            progress = replace(
                progress, heard_back=progress.heard_back | said, confirmed=progress.confirmed | confirmed
            )
        if progress != self.progress:
            return progress
        if progress.phase is Phase.LINGER or self._missing() or not self._is_quiet(now):
            return None
        return replace(progress, phase=Phase.REKEYED if progress.phase is Phase.BOTH else Phase.LINGER)

    def recorded(self, progress: Progress, *, now: float) -> None:
        """Take note that a progress is on the disk, and that interfaces and redirects follow it."""
        if progress.phase is not self.progress.phase:
            self._since = now
        self.progress = progress
        self._evidence -= progress.settled
        for name in self._peers:
            self._fast_until[name] = now + _FAST_FOR
            self._due[name] = now

    def done(self, now: float) -> bool:
        """Tell whether the rotation has ended here: all peers know it, or had ten minutes to hear of it."""
        if self.progress.phase is not Phase.LINGER:
            return False
        return (not self._missing() and self._is_quiet(now)) or now - self._since >= _LINGER

    def _awaited(self) -> frozenset[str]:
        plain = {name for name, peer in self._peers.items() if peer.plain}
        return frozenset(self._peers.keys() - plain - self.progress.settled)

    def _evident(self, way: Way, now: float) -> frozenset[str]:
        return frozenset(name for name in self._awaited() if self._heard[name].is_evident(way, now))

    def _missing(self) -> frozenset[str]:
        """Return the peers whose part in the phase is not over, on this node's disk or by what was heard."""
        progress = self.progress
        if progress.phase is Phase.BOTH:
            said = {name for name, heard in self._heard.items() if Way.NEXT in heard.said}
            return self._awaited() - (progress.moved & said)
        if progress.phase is Phase.REKEYED:
            return self._awaited() - (progress.back & progress.heard_back)
        return self._awaited() - progress.confirmed

    def _is_quiet(self, now: float) -> bool:
        """Tell whether what peers sent before they last said something new has arrived by now.

        What was recorded before this process started counts from the start. Words that a peer repeats do not
        count: each node would wait for the one before.
        """
        heard = [self._heard[name] for name in self._awaited()]
        if self.progress.phase is Phase.LINGER:
            times = [self._since, *(each.has_back for each in heard if each.has_back is not None)]
        else:
            way = Way.NEXT if self.progress.phase is Phase.BOTH else Way.NEW
            times = [each.said.get(way, self._since) for each in heard]
        return not times or now - max(times) >= _QUIET

    def route(self, name: str) -> Way:
        """Return how packets go to a peer, as recorded."""
        peer, progress = self._peers[name], self.progress
        if progress.phase is Phase.BOTH and name not in progress.settled:
            return Way.NEXT if peer.plain or name in progress.moved else Way.OLD
        if progress.phase is Phase.REKEYED and name in self._awaited() - progress.back:
            return Way.NEXT
        return Way.NEW

    def words(self, now: float) -> list[Word]:
        """Return what is to be sent now; a word that was returned counts as sent."""
        words = []
        for name in self._spoken_to():
            if self._due[name] <= now:
                self._due[name] = now + (_FAST if now < self._fast_until[name] else _SLOW)
                words += self._words_to(name, now)
        return words

    def due(self, now: float) -> float:
        """Return in how many seconds there may be words or a step, even if nothing is heard until then."""
        spoken = self._spoken_to()
        fast = not spoken or any(now < self._fast_until[name] for name in spoken)
        left = min((self._due[name] for name in spoken), default=now + _FAST) - now
        return max(0.0, min(left, _FAST if fast else _SLOW))

    def _spoken_to(self) -> list[str]:
        return [name for name in self._peers if name not in self.progress.settled]

    def _words_to(self, name: str, now: float) -> list[Word]:
        heard, route = self._heard[name], self.route(name)
        hears = (
            HEARS_NEXT * heard.is_heard(Way.NEXT, now)
            | HEARS_NEW * heard.is_heard(Way.NEW, now)
            | HEARD_MOVED * (Way.NEXT in heard.said)
            | HAS_BACK * (name in self.progress.heard_back)
        )
        words = [Word(name, Kind.ROUTE, route, route, hears)]
        probed = self._probed(route)
        if probed is not None and not self._is_shy(name, probed, now):
            words.append(Word(name, Kind.PROBE, probed, route, hears))
        return words

    def _probed(self, route: Way) -> Optional[Way]:
        """Return the way that comes after a route, as soon as this node's interfaces have it."""
        if self.progress.phase is Phase.BOTH:
            return Way.NEXT if route is Way.OLD else None
        return Way.NEW if route is Way.NEXT else None

    def _is_shy(self, name: str, way: Way, now: float) -> bool:
        waits = self._peers[name].shy and now - self._since < _SHY
        return waits and not self._heard[name].is_heard(way, now)

    def waits(self, now: float) -> dict[str, str]:
        """Return why the rotation does not go on, by peer; without those whose part in the phase is over."""
        if self.progress.phase is Phase.LINGER:
            return {}
        why = self._why_both if self.progress.phase is Phase.BOTH else self._why_rekeyed
        return {name: why(name, now) for name in sorted(self._missing())}

    def _why_both(self, name: str, now: float) -> str:
        heard = self._heard[name]
        if name not in self.progress.moved:
            return self._why_silent(name, Way.NEXT, f"no word on port {self._next_port}", now)
        if heard.is_there(Way.OLD, now):
            return "still sends by the old way"
        return f"no word on port {self._next_port}"

    def _why_rekeyed(self, name: str, now: float) -> str:
        if name not in self.progress.back:
            return self._why_silent(name, Way.NEW, "no word on the re-keyed wg0", now)
        return "still sends by wg0-next"

    def _why_silent(self, name: str, way: Way, silent: str, now: float) -> str:
        heard = self._heard[name]
        if not heard.is_there(way, now):
            return silent
        return "heard for too short a time" if heard.answers(way, now) else "heard, not heard there"
