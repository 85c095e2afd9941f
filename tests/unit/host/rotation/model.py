"""All states that a few nodes can get into, in any order of what happens: a small model checker.

What a node does next, what it says, and what its interfaces hold, the code under test decides. The model adds
what time and chance do: who is heard, who is killed or loses power, and that timers run out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, combinations

from mesh.host.records import replace
from mesh.host.rotation.messages import Kind, Message, Way
from mesh.host.rotation.pairs import Pairs
from mesh.host.rotation.peers import known_peers
from mesh.host.rotation.plan import Plan, plan_between
from mesh.host.rotation.progress import Phase, Progress, first_progress
from tests.unit.host.rotation.meshes import NEXT_PORT, Kernel, Mesh, kernel_of, reached

OLD, END = "before the rotation", "after the rotation"
Stage = Progress | str

# Who said by which way it sends. Confirmations make the end come sooner; here it may come at any time.
Fact = tuple[str, Way]
_LATE = 10_000.0


@dataclass(frozen=True)
class One:
    """A node: what its disk has, what its interfaces follow, whether the rotator runs, what it heard."""

    disk: Stage
    kernel: Stage
    runs: bool = False
    heard: frozenset[Fact] = frozenset()


State = tuple[One, ...]


@dataclass
class Model:
    """The rotation of a mesh, to be searched; the last three plant faults."""

    before: Mesh
    after: Mesh
    evidence: bool = True
    pairs: type[Pairs] = Pairs
    speaks_first: bool = False
    steps_back: bool = False
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = self.after.names()
        self._plans = {name: self._plan(name) for name in self.names}
        self.reaches = lru_cache(None)(self._reaches)
        self.spoken = lru_cache(None)(self._spoken)
        self.next = lru_cache(None)(self._next)
        self.first = tuple(One(OLD, OLD) for _ in self.names)

    def _plan(self, name: str) -> Plan:
        plan = plan_between(self.before.file(name), self.after.file(name))
        assert plan
        return plan

    def kernel(self, name: str, stage: Stage) -> Kernel:
        if isinstance(stage, str):
            file = (self.before if stage == OLD else self.after).file(name)
            return kernel_of(name, file, None, None)
        return kernel_of(name, self.after.file(name), self._plans[name], stage)

    def _reaches(self, sender: str, stage: Stage, other: str, its: Stage, by: str) -> str | None:
        ends = self.kernel(sender, stage), self.kernel(other, its)
        return reached(*ends, self.after.address(other), by=by)

    def _pairs(self, name: str, progress: Progress) -> Pairs:
        known = known_peers(self.after.file(name), self._plans[name], progress)
        return self.pairs(known, progress, now=0.0, next_port=NEXT_PORT)

    def _spoken(self, name: str, other: str, progress: Progress) -> list[tuple[str, Message]]:
        """Return what a node says to another one, and by which interface."""
        words = (word for word in self._pairs(name, progress).words(2.0) if word.peer == other)
        return [
            (
                "" if word.kind is Kind.ROUTE else ("next" if word.way is Way.NEXT else "wg0"),
                Message(word.kind, word.way, word.route, word.hears, 0),
            )
            for word in words
        ]

    def _next(
        self,
        name: str,
        progress: Progress,
        heard: frozenset[Fact],
        evident: frozenset[str],
        settled: frozenset[str],
    ) -> Progress | None:
        """Return the code's next step after all timers but that of evidence."""
        pairs = self._pairs(name, progress)
        for peer, way in heard:
            message = Message(Kind.ROUTE, way, way, 0, 0)
            pairs.heard(peer, message, on_next=way is Way.NEXT, now=1.0)
        way, bits = (Way.NEXT, 1) if progress.phase is Phase.BOTH else (Way.NEW, 2)
        for peer in evident:
            for tick in reversed(range(6)):
                message = Message(Kind.PROBE, way, Way(way - 1), bits, 0)
                pairs.heard(peer, message, on_next=way is Way.NEXT, now=_LATE - tick / 4)
        pairs.settled(settled)
        return pairs.next(_LATE)

    # What may happen.

    def moves(self, index: int, state: State) -> list[tuple[str, One]]:
        """Return all that can happen to a node in a state, and what becomes of the node."""
        return [*self.chances(state[index]), *self.deeds(index, state)]

    def seen(self, one: One) -> object:
        """Return what matters of a node to what can happen to others."""
        return one.kernel, one.runs, is_over(one), one.disk if self.speaks_first else None

    def chances(self, one: One) -> Iterator[tuple[str, One]]:
        if one.runs:
            yield "is killed", replace_one(one, runs=False)
        if isinstance(one.disk, Progress) and (one.runs or one.kernel != one.disk):
            yield "loses power", One(one.disk, one.disk)

    def deeds(self, index: int, state: State) -> Iterator[tuple[str, One]]:
        one, name = state[index], self.names[index]
        if one.disk == OLD:
            yield "commits", One(first_progress(self._plans[name], 0.0), OLD)
        elif not one.runs and isinstance(one.disk, Progress):
            yield "starts", One(one.disk, one.disk, runs=True)
        elif one.runs and one.disk != one.kernel:
            yield "does it", replace_one(one, kernel=one.disk)
        elif one.runs and isinstance(one.disk, Progress):
            yield from self.thoughts(index, state, one.disk)

    def thoughts(self, index: int, state: State, progress: Progress) -> Iterator[tuple[str, One]]:
        one, name = state[index], self.names[index]
        if progress.phase is Phase.LINGER:
            yield "ends", One(END, END)
        for fact in self.hearable(index, state) - one.heard:
            yield f"hears {fact}", replace_one(one, heard=one.heard | {fact})
        evident = self.evident(index, state, progress)
        for peers in chain.from_iterable(combinations(evident, size) for size in range(len(evident) + 1)):
            step = self.next(name, progress, one.heard, frozenset(peers), frozenset())
            if step:
                yield f"promises {shown(step)}", forget(One(step, one.kernel, one.runs, one.heard))
        ended = self.at_end(state)
        if self.evidence and ended and progress.phase is not Phase.LINGER:
            step = self.next(name, progress, one.heard, frozenset(), ended)
            if step:
                yield f"is told of {sorted(ended)}", forget(One(step, one.kernel, one.runs, one.heard))
        if self.steps_back and progress.phase is Phase.BOTH:
            for peer in progress.moved:
                step = replace(progress, moved=progress.moved - {peer})
                yield f"goes back to {peer}", One(step, one.kernel, one.runs, one.heard)

    def at_end(self, state: State) -> frozenset[str]:
        """Return who has no plan any more: what the controller sees."""

        return frozenset(name for name, one in zip(self.names, state, strict=True) if is_over(one))

    def _talk(self, index: int, other: int, state: State) -> Iterator[tuple[str, Message]]:
        """Yield what a node hears from another one: interface and message."""
        here, there = state[index], state[other]
        speaks = there.disk if self.speaks_first else there.kernel
        if there.runs and isinstance(speaks, Progress):
            for by, message in self.spoken(self.names[other], self.names[index], speaks):
                ends = self.names[other], there.kernel, self.names[index], here.kernel
                interface = self.reaches(*ends, by)
                # A node that speaks of what it has not done says so wherever its packets go.
                if self.speaks_first and interface and not by:
                    interface = "next" if message.way is Way.NEXT else "wg0"
                if interface:
                    yield interface, message

    def hearable(self, index: int, state: State) -> frozenset[Fact]:
        progress = state[index].disk
        assert isinstance(progress, Progress)
        facts = set()
        for other, name in enumerate(self.names):
            for interface, message in self._talk(index, other, state) if other != index else ():
                if (interface == "next") == (message.way is Way.NEXT) and message.kind is Kind.ROUTE:
                    facts.add((name, message.way))
        return frozenset(fact for fact in facts if is_news(fact, progress))

    def evident(self, index: int, state: State, progress: Progress) -> list[str]:
        """Return with whom words go both ways on the interface in question."""
        way = Way.NEXT if progress.phase is Phase.BOTH else Way.NEW

        def heard(here: int, there: int) -> bool:
            return any(message.way is way for _, message in self._talk(here, there, state))

        others = (other for other in range(len(state)) if other != index)
        return [self.names[other] for other in others if heard(index, other) and heard(other, index)]

    # What must be true.

    def broken(self, here: str, one: One, there: str, other: One) -> str | None:
        """Return what is wrong between two nodes: no way from one to the other, or new keys too early."""
        if not self.reaches(here, one.kernel, there, other.kernel, ""):
            return f"{here} does not reach {there}"
        if there in self._plans[here].changing and is_rekeyed(one) and may_send_old(other, here):
            return f"{here} gave up the old key that {there} sends by"
        return None


def shown(step: Progress) -> str:
    lists = (step.moved, step.back, step.heard_back)
    return " ".join([step.phase.value, *(",".join(sorted(names)) or "-" for names in lists)])


def is_over(one: One) -> bool:
    def over(stage: Stage) -> bool:
        return stage == END or (isinstance(stage, Progress) and stage.phase is Phase.LINGER)

    return over(one.disk) and over(one.kernel)


def is_rekeyed(one: One) -> bool:
    return isinstance(one.disk, Progress) and one.disk.phase is not Phase.BOTH


def may_send_old(one: One, peer: str) -> bool:
    """Tell whether a node sends to a peer by its old key, now or when it starts again."""

    def old(stage: Stage) -> bool:
        if isinstance(stage, str):
            return stage == OLD
        return stage.phase is Phase.BOTH and peer not in stage.moved

    return old(one.disk) or old(one.kernel)


def replace_one(one: One, **values: object) -> One:
    """Return a node with other values; one that does not run has heard nothing."""
    merged = {**one.__dict__, **values}
    if not merged["runs"]:
        merged["heard"] = frozenset()
    return One(**merged)


def is_news(fact: Fact, progress: Progress) -> bool:
    peer, way = fact
    if progress.phase is Phase.REKEYED:
        return way is Way.NEW and peer not in progress.heard_back
    return progress.phase is Phase.BOTH and way is Way.NEXT


def forget(one: One) -> One:
    """Return a node without what has no meaning any more, so that fewer states differ."""
    progress = one.disk
    assert isinstance(progress, Progress)
    return replace_one(one, heard=frozenset(fact for fact in one.heard if is_news(fact, progress)))


@dataclass
class Found:
    """The result of a search: how many states, what is wrong in the first such one, and what led there."""

    states: int
    wrong: str | None
    trace: list[str]


Numbers = tuple[int, ...]
_MISFORTUNES = ("is killed", "loses power")


class Search:
    """All states of a model, by numbers for what nodes can be; what can happen is asked for once for each."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.ones: list[One] = []
        self.numbers: dict[One, int] = {}
        self.seen: list[int] = []
        self._views: dict[object, int] = {}
        self._moves: dict[tuple[int, int, Numbers], list[tuple[str, int]]] = {}
        self._broken: dict[Numbers, str | None] = {}
        first = tuple(self.number(one) for one in model.first)
        self.came: dict[Numbers, tuple[Numbers, str] | None] = {first: None}
        self.leads: dict[Numbers, list[Numbers]] = {}

    def number(self, one: One) -> int:
        if one not in self.numbers:
            self.numbers[one] = len(self.ones)
            self.ones.append(one)
            self.seen.append(self._views.setdefault(self.model.seen(one), len(self._views)))
        return self.numbers[one]

    def run(self) -> Found:
        """Look at all states; then whether each can still come to the end, without more misfortune."""
        todo = deque(self.came)
        while todo:
            state = todo.popleft()
            wrong = self.broken(state)
            if wrong:
                return Found(len(self.came), wrong, self.trace(state))
            for after, what in self.after(state):
                if not what.endswith(_MISFORTUNES):
                    self.leads.setdefault(after, []).append(state)
                if after not in self.came:
                    self.came[after] = (state, what)
                    todo.append(after)
        stuck = self.stuck()
        return Found(len(self.came), "holds for good" if stuck else None, self.trace(stuck) if stuck else [])

    def broken(self, state: Numbers) -> str | None:
        for here, one in enumerate(state):
            for there, other in enumerate(state):
                key = (here, one, there, other)
                if here != there and key not in self._broken:
                    names = self.model.names[here], self.model.names[there]
                    self._broken[key] = self.model.broken(
                        names[0], self.ones[one], names[1], self.ones[other]
                    )
                if here != there and self._broken[key]:
                    return self._broken[key]
        return None

    def after(self, state: Numbers) -> Iterator[tuple[Numbers, str]]:
        view = tuple(self.seen[one] for one in state)
        for index, number in enumerate(state):
            key = (index, number, view)
            if key not in self._moves:
                whole = tuple(self.ones[one] for one in state)
                self._moves[key] = [
                    (f"{self.model.names[index]} {what}", self.number(one))
                    for what, one in self.model.moves(index, whole)
                ]
            for what, one in self._moves[key]:
                yield (*state[:index], one, *state[index + 1 :]), what

    def stuck(self) -> Numbers | None:
        good = {state for state in self.came if all(self.ones[one].disk == END for one in state)}
        todo = deque(good)
        while todo:
            for earlier in self.leads.get(todo.popleft(), ()):
                if earlier not in good:
                    good.add(earlier)
                    todo.append(earlier)
        return next((state for state in self.came if state not in good), None)

    def trace(self, state: Numbers) -> list[str]:
        steps: list[str] = []
        while before := self.came[state]:
            state = before[0]
            steps.insert(0, before[1])
        return steps
