"""Nodes that rotate their keys, in one process: the real state machine, plans and devices, a bad network.

Each change of what runs on a node is followed by the question whether all nodes reach each other, and whether
packets that are under way will be read.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from mesh.host.files.wgconf import WgFile
from mesh.host.rotation.messages import Kind, Message, Way
from mesh.host.rotation.pairs import Pairs, Word
from mesh.host.rotation.peers import kinds, known_peers
from mesh.host.rotation.plan import Plan, continued, parse_plan, plan_between, plan_json
from mesh.host.rotation.progress import Phase, Progress, first_progress, parse_progress, progress_json
from tests.unit.host.rotation.meshes import NEXT_PORT, Kernel, Mesh, kernel_of, reached

# A packet may be under way for just less than the time that a node waits for.
UNDER_WAY = 2.9


@dataclass
class Fault:
    """A rotator is killed, or its node loses power, at a time and then at the promise or deed of a step."""

    at: float
    node: str
    stage: str = ""  # "promise", "deed": after it, when it next comes to that; "": at once
    away: float = 0.3
    power: bool = False
    spared: int = 0  # so many steps come before


@dataclass
class Disk:
    """What outlives a node's power."""

    file: WgFile | None = None
    plan: bytes | None = None
    progress: bytes | None = None
    settled: frozenset[str] = frozenset()


@dataclass
class Node:
    """A node, its rotator if it runs, and what it sent by lately."""

    name: str
    disk: Disk = field(default_factory=Disk)
    up: bool = True
    kernel: Kernel | None = None
    pairs: Pairs | None = None
    life: int = 0
    fault: Fault | None = None
    lately: deque[tuple[float, Kernel]] = field(default_factory=deque)  # until when it was so
    blind: bool = False  # came back after the others had gone on

    @property
    def plan(self) -> Plan | None:
        return parse_plan(self.disk.plan) if self.disk.plan else None

    def progress(self) -> Progress | None:
        return parse_progress(self.disk.progress, self.plan) if self.disk.progress else None


class DeadPairError(AssertionError):
    """A packet that nobody can read."""


class World:
    """All nodes and the network between them; times in seconds."""

    def __init__(
        self,
        before: Mesh,
        *,
        seed: int = 0,
        loss: float = 0.0,
        delay: float = 0.05,
        pairs: type[Pairs] = Pairs,
    ) -> None:
        self.mesh = before
        self.random = random.Random(seed)
        self.loss, self.delay, self.pairs = loss, delay, pairs
        self.now = 0.0
        self.blocked: set[str] = set()  # UDP to and from the second port of these nodes is dropped
        self.nodes = {name: Node(name) for name in before.names()}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for node in self.nodes.values():
            node.disk.file = before.file(node.name)
            node.kernel = kernel_of(node.name, node.disk.file, None, None)

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), action))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until

    # What operators and the program do.

    def apply(self, mesh: Mesh, skews: Sequence[float] = (), *, but: Sequence[str] = ()) -> None:
        """The program renders another mesh; each node gets its document at its own time from now."""
        self.mesh = mesh
        for index, name in enumerate(mesh.names()):
            self.nodes.setdefault(name, Node(name))
            if name not in but:
                skew = skews[index] if index < len(skews) else 0.0
                self.at(self.now + skew, lambda name=name: self.apply_on(name, mesh))  # type: ignore[misc]

    def apply_on(self, name: str, mesh: Mesh) -> None:
        node, wanted = self.nodes[name], mesh.file(name)
        if not node.up:
            self.at(self.now + 1.0, lambda: self.apply_on(name, mesh))
            return
        plan = node.plan
        if plan:
            assert continued(plan, wanted) is None
        elif node.disk.file:
            fresh = plan_between(node.disk.file, wanted)
            if fresh:
                node.disk.plan, node.disk.progress = plan_json(fresh), None
        node.disk.file = wanted
        self.start(node)

    def fault(self, fault: Fault) -> None:
        def strike() -> None:
            node = self.nodes[fault.node]
            if fault.stage:
                node.fault = fault
            elif node.up:
                self.strike(node, fault)

        self.at(fault.at, strike)

    def strike(self, node: Node, fault: Fault) -> None:
        node.life += 1
        node.pairs = None
        if fault.power:
            self.down(node)
        self.at(self.now + fault.away, lambda life=node.life: self.back(node, life))  # type: ignore[misc]

    def back(self, node: Node, life: int) -> None:
        if life == node.life:
            node.up = True
            self.start(node)

    def down(self, node: Node) -> None:
        node.up, node.kernel, node.pairs = False, None, None
        node.life += 1
        node.lately.clear()

    def controller(self, *, every: float = 2.0) -> None:
        """Carry evidence: who is at its end, to all others that are not."""
        ends = frozenset(
            name
            for name, node in self.nodes.items()
            if node.up
            and not node.disk.plan
            and name in self.mesh.names()
            and node.disk.file == self.mesh.file(name)
        )

        def tell() -> None:
            for node in self.nodes.values():
                if node.up and node.disk.plan and node.disk.file == self.mesh.file(node.name):
                    node.disk.settled |= ends
                    if node.pairs:
                        node.pairs.settled(ends)

        self.at(self.now + 0.5, tell)
        self.at(self.now + every, self.controller)

    # What a node does.

    def start(self, node: Node) -> None:
        """Bring what runs to what the disk says, and the rotator up."""
        node.life += 1
        assert node.disk.file
        plan, progress = node.plan, node.progress()
        if plan and progress is None:
            progress = first_progress(plan, self.now)
            node.disk.progress = progress_json(progress)
            node.disk.settled = frozenset()
        self.follow(node)
        if progress is None:
            return
        node.pairs = self.pairs(
            known_peers(node.disk.file, plan, progress),
            progress,
            now=self.now,
            next_port=NEXT_PORT,
            settled=node.disk.settled,
        )
        self.wake(node, node.life)

    def follow(self, node: Node) -> None:
        """The deed: interfaces and redirects as the disk says."""
        assert node.disk.file
        progress = node.progress()
        fresh = kernel_of(node.name, node.disk.file, node.plan, progress)
        if progress and progress.phase is Phase.LINGER:
            node.disk.plan = None
        if progress and node.blind and progress.settled:
            node.blind = False
        if node.kernel and fresh != node.kernel:
            node.lately.append((self.now, node.kernel))
        node.kernel = fresh
        self.check(node)

    def wake(self, node: Node, life: int) -> None:
        if life != node.life or node.pairs is None:
            return
        pairs = node.pairs
        progress = pairs.next(self.now)
        if progress:
            node.disk.progress = progress_json(progress)
            if self.struck(node, "promise"):
                return
            later = self.now + self.random.uniform(0, 0.1)
            self.at(later, lambda: self.deed(node, life, progress))
            return
        if pairs.done(self.now):
            node.disk.progress, node.pairs = None, None
            return
        for word in pairs.words(self.now):
            self.send(node, word)
        self.at(self.now + max(pairs.due(self.now), 0.01), lambda: self.wake(node, life))

    def deed(self, node: Node, life: int, progress: Progress) -> None:
        if life != node.life or node.pairs is None:
            return
        self.follow(node)
        if self.struck(node, "deed"):
            return
        node.pairs.recorded(progress, now=self.now)
        self.wake(node, life)

    def struck(self, node: Node, stage: str) -> bool:
        fault = node.fault
        if fault is None or fault.stage != stage:
            return False
        if fault.spared:
            fault.spared -= 1
            return False
        node.fault = None
        self.strike(node, fault)
        return True

    def send(self, node: Node, word: Word) -> None:
        if self.random.random() < self.loss or word.peer not in self.nodes:
            return
        message = Message(word.kind, word.way, word.route, word.hears, int(self.now * 1e9))
        bound = "" if word.kind is Kind.ROUTE else ("next" if word.way is Way.NEXT else "wg0")
        sent, sender = node.kernel, node.name
        assert sent

        def arrive() -> None:
            other = self.nodes[word.peer]
            if not other.kernel:
                return
            interface = reached(sent, other.kernel, self.mesh_address(word.peer), by=bound)
            if interface == "next" and self.blocked & {sender, word.peer}:
                return
            if interface and other.pairs:
                other.pairs.heard(sender, message, on_next=interface == "next", now=self.now)

        self.at(self.now + self.random.uniform(0.001, self.delay), arrive)

    # What must be true.

    def mesh_address(self, name: str) -> str:
        file = self.nodes[name].disk.file
        assert file
        return file.addresses[0].partition("/")[0]

    def check(self, changed: Node) -> None:
        for other in self.nodes.values():
            pair = (changed, other)
            if other is changed or not other.kernel or not changed.kernel or changed.blind or other.blind:
                continue
            if other.name not in changed.kernel.knows or changed.name not in other.kernel.knows:
                continue
            for sender, receiver in (pair, pair[::-1]):
                self.read(sender, receiver, sender.kernel, "now")
            while other.lately and other.lately[0][0] < self.now - UNDER_WAY:
                other.lately.popleft()
            if not self.is_plain(changed, other):
                for until, kernel in other.lately:
                    if changed.name in kernel.knows:
                        self.read(other, changed, kernel, f"{self.now - until:.2f} s ago")

    def read(self, sender: Node, receiver: Node, kernel: Kernel | None, when: str) -> None:
        assert kernel
        assert receiver.kernel
        interface = reached(kernel, receiver.kernel, self.mesh_address(receiver.name))
        if interface is None or (interface == "next" and self.blocked & {sender.name, receiver.name}):
            raise DeadPairError(f"at {self.now:.2f}: {sender.name} to {receiver.name}, sent {when}")

    def is_plain(self, *pair: Node) -> bool:
        """Tell whether one end sees the other as new, which may cost a packet that is under way."""
        for node, other in (pair, pair[::-1]):
            progress = node.progress()
            if node.plan is None or progress is None or other.name in progress.settled:
                return True
            assert node.disk.file
            if other.name in kinds(node.disk.file, node.plan, progress).plain:
                return True
        return False

    def unfinished(self) -> list[str]:
        """Return what is not as the program wants it."""
        found = []
        for name in self.mesh.names():
            node = self.nodes[name]
            if node.disk.plan:
                why = node.pairs.waits(self.now) if node.pairs else "no rotator"
                found.append(f"{name}: {node.progress()} waits for {why}")
            elif node.kernel != kernel_of(name, self.mesh.file(name), None, None):
                found.append(f"{name}: {node.kernel}")
        return found
