"""What goes on by itself after a commit with other keys: traffic moves to them, pair by pair, by evidence.

systemd starts it, and starts it again whenever it dies. All it must know is on disk. What it does has this
order: the promise (a record), the deed, the word to the peer.
"""

from __future__ import annotations

import contextlib
import select
import time

from ..answers import AgentError, Answer
from ..files.generation import current_digest, load_generation
from ..live.interface import exists
from ..live.ipv6 import as_far_as_possible
from ..rotation.cleaning import forget_former_keys
from ..rotation.devices import redirected
from ..rotation.members import Members, members_of
from ..rotation.messages import PROBE, ROUTE, Kind, Message, Way, decode, encode
from ..rotation.pairs import Pairs
from ..rotation.planned import committed_plan, remove_plans
from ..rotation.progress import Phase
from ..rotation.redirect import clear, reconcile
from ..rotation.second import bring_second, take_second_away
from ..rotation.stored import (
    bring,
    copy_plan,
    end_progress,
    read_evidence,
    read_progress,
    rotation_of,
    write_progress,
)
from ..rotation.tap import Sender, Tap
from ..rotation.told import tell_pairs, tell_trouble
from ..system.faults import step
from ..system.run import io_error, log
from ..trial.lock import lock
from ..trial.record import load_trial
from ..tunnel import NEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Optional

    from ..files.generation import Generation
    from ..places import Places
    from ..rotation.pairs import Word
    from ..rotation.plan import Plan
    from ..rotation.progress import Progress
    from ..tunnel import Tunnel

__all__ = ["rotate"]

# Seconds until what could not be done is tried again, at first and at most, and until somebody else may have
# changed this node.
_AGAIN, _AT_MOST = 2.0, 30.0
_BUSY = 0.1
# Seconds between looks at what others may have changed: the committed files, the interfaces, evidence.
_LOOK = 0.5


def rotate(places: Places, tunnel: Tunnel) -> None:
    """Move traffic until all pairs have their new keys and all peers know that. Raises `OSError`."""
    trouble, wait = "", _AGAIN
    while current_digest(places) is not None:
        over, failed = _tried(places, tunnel)
        if over:
            return
        if failed is None:
            trouble, wait = "", _AGAIN
        elif failed.answer is Answer.BUSY:
            time.sleep(_BUSY)
        else:
            if failed.reason != trouble:
                log(f"rotation of keys: {failed.reason}; trying again until that works")
            trouble = failed.reason
            tell_trouble(places, trouble)
            time.sleep(wait)
            wait = min(2 * wait, _AT_MOST)


def _tried(places: Places, tunnel: Tunnel) -> tuple[bool, Optional[AgentError]]:
    """Go on; returns whether the rotation is over, and what went wrong."""
    try:
        return _went_on(places, tunnel), None
    except AgentError as error:
        return False, error
    except OSError as error:
        return False, io_error(error)


def _went_on(places: Places, tunnel: Tunnel) -> bool:
    """Go on for as long as the files stay the same; tells whether the rotation is over."""
    mover = _begin(places, tunnel)
    if mover is None:
        return True
    with contextlib.closing(mover):
        return mover.run()


def _begin(places: Places, tunnel: Tunnel) -> Optional[_Mover]:
    """Take up the rotation of the committed files where it is; None when there is none any more."""
    with _free(places):
        committed = load_generation(places, current_digest(places) or "absent")
        generation = as_far_as_possible(places, tunnel, committed)
        plan = committed_plan(places)
        progress = read_progress(places, plan)
        if progress is None:
            found = rotation_of(places, generation)
            if found is None:
                clear(tunnel.interface)
                take_second_away()
                end_progress(places)
                return None
            progress = found.progress
            write_progress(places, progress)
        if plan is not None:
            copy_plan(places, plan)
        mover = _Mover(places, tunnel, generation, plan, progress)
        step("rotation-begun")
        mover.reconcile()
    return mover


@contextlib.contextmanager
def _free(places: Places) -> Iterator[None]:
    """Hold the lock while no trial is under way, whose record of the running system must stay true.

    Raises `AgentError` (BUSY).
    """
    with lock(places, wait=0.0, breaks=False):
        if load_trial(places) is not None:
            raise AgentError(Answer.BUSY, "a trial is under way")
        yield


def _devices_of(progress: Progress) -> tuple[object, ...]:
    """Return what the interfaces follow from; all else of a record is for redirects and words."""
    return progress.phase, progress.settled, progress.back


class _Mover:
    """One rotation of one set of committed files."""

    def __init__(
        self,
        places: Places,
        tunnel: Tunnel,
        generation: Generation,
        plan: Optional[Plan],
        progress: Progress,
    ) -> None:
        self._places, self._tunnel, self._generation, self._plan = places, tunnel, generation, plan
        self._members: Members = members_of(places, generation, plan, progress)
        self._pairs = Pairs(
            self._members.peers,
            progress,
            now=time.monotonic(),
            next_port=generation.file.next_port or 0,
            settled=read_evidence(places, self._members.publics),
        )
        self._told: Optional[tuple[Progress, dict[str, str]]] = None
        self._looked = 0.0
        self._sender = Sender()
        self._tap: Optional[Tap] = None

    def close(self) -> None:
        """Let go of the sockets."""
        self._sender.close()
        if self._tap is not None:
            self._tap.close()

    def run(self) -> bool:
        """Go on until the rotation is over; False where the files or the evidence changed: begin again."""
        self._tap = Tap([self._tunnel.interface, NEXT.interface], self._members.heard)
        while not self._pairs.done(time.monotonic()):
            if self._look():
                return False
            self._hear()
            self._go_on()
            self._speak()
            self._tell()
        with _free(self._places):
            if current_digest(self._places) != self._generation.digest:
                return False
            end_progress(self._places)
        log("rotation of keys: done, all pairs have their new keys")
        return True

    def _look(self) -> bool:
        """Look at what others may have changed: tells whether to begin again."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        if current_digest(self._places) != self._generation.digest:
            return True
        assert self._tap is not None
        if self._tap.reopen_if_changed() or self._second_is_missing():
            return True
        self._pairs.settled(read_evidence(self._places, self._members.publics))
        return False

    def _second_is_missing(self) -> bool:
        return self._pairs.progress.phase is not Phase.LINGER and not exists(NEXT)

    def _hear(self) -> None:
        """Wait for messages until something else is due, and take them."""
        assert self._tap is not None
        wait = min(self._pairs.due(time.monotonic()), _LOOK)
        select.select(self._tap.filenos(), [], [], wait)
        for interface, source, payload in self._tap.read():
            name = self._members.names.get(source)
            message = decode(payload, key=self._members.keys[name], source=source) if name else None
            if name and message is not None:
                self._pairs.heard(name, message, on_next=interface == NEXT.interface, now=time.monotonic())

    def _go_on(self) -> None:
        """Do what may be done now, unless somebody else changes this node: then a moment later."""
        progress = self._pairs.next(time.monotonic())
        if progress is None:
            return
        try:
            with _free(self._places):
                if current_digest(self._places) != self._generation.digest:
                    return
                changes = _devices_of(progress) != _devices_of(self._pairs.progress)
                write_progress(self._places, progress)
                step("rotation-recorded")
                self._do(progress, whole=changes)
        except AgentError as error:
            if error.answer is not Answer.BUSY:
                raise
            return
        self._pairs.recorded(progress, now=time.monotonic())

    def reconcile(self) -> None:
        """Bring all to what the record says, in both directions."""
        self._do(self._pairs.progress, whole=True)

    def _do(self, progress: Progress, *, whole: bool) -> None:
        """Bring interfaces, if that is asked for, and redirects to what a record says."""
        if progress.phase is Phase.LINGER:
            if whole:
                self._finish()
            return
        if whole:
            bring_second(self._places, self._generation)
            step("rotation-next")
            bring(self._places, self._tunnel, self._generation)
            step("rotation-wg0")
        assert self._plan is not None
        file = self._generation.file
        reconcile(
            self._tunnel.interface,
            {peer.name or peer.public_key: peer.allowed_ips for peer in file.peers},
            redirected(file, self._plan, progress),
        )
        step("rotation-redirected")

    def _finish(self) -> None:
        """Leave one interface, one file and no key of before; may be done again."""
        bring(self._places, self._tunnel, self._generation)
        clear(self._tunnel.interface)
        take_second_away()
        if self._plan is not None:
            forget_former_keys(self._places, self._plan)
            step("rotation-cleaned")
            remove_plans(self._places)
            step("rotation-unplanned")
            log("rotation of keys: all pairs are on the new keys, and those of before are destroyed")

    def _speak(self) -> None:
        """Send the peers what is due."""
        words = self._pairs.words(time.monotonic())
        for word in words:
            message = Message(word.kind, word.way, word.route, word.hears, time.monotonic_ns())
            own = self._members.own
            self._sender.send(
                encode(message, key=self._members.keys[word.peer], source=own),
                source=own,
                to=self._members.addresses[word.peer],
                identifier=PROBE if word.kind is Kind.PROBE else ROUTE,
                sequence=word.way,
                interface=self._interface(word),
            )
        if words:
            step("rotation-said")

    def _tell(self) -> None:
        """Keep what is waited for, when that is something else than before."""
        now = self._pairs.progress, self._pairs.waits(time.monotonic())
        if now != self._told:
            tell_pairs(self._places, *now)
            self._told = now

    def _interface(self, word: Word) -> Optional[str]:
        """Return the interface that a probe is bound to; the other messages take the way of all packets."""
        if word.kind is not Kind.PROBE:
            return None
        return NEXT.interface if word.way is Way.NEXT else self._tunnel.interface
