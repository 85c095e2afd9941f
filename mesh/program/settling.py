"""Asks the nodes of a mesh how far they are with their keys, and waits until all have the new ones.

A node goes on by itself, whether anybody asks or not. What no node can know alone is carried from one to the
other here: that a peer is done for good.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi

from mesh.calls.errors import NodeError
from mesh.calls.rotations import Wait, evidence, settle_input, under_way, waits, waits_in_words
from mesh.names import AGENT_FILE, COMMAND, COPY, KEYS
from mesh.outputs import NodeOutputs
from mesh.program.previous import Previous
from mesh.said import shown

if TYPE_CHECKING:
    from mesh.calls.nodes import AgentClient
    from mesh.calls.reports import Report, ReportedRotation

__all__ = [
    "PATIENCE_SECONDS",
    "Answers",
    "Dialled",
    "Put",
    "Urns",
    "look_ahead",
    "refuse_silent",
    "refuse_under_way",
    "wait_until_settled",
]

PATIENCE_SECONDS: Final = 60.0
"""Seconds without progress after which nobody waits any longer: a pair needs some 15 s (research)."""
_PAUSE_SECONDS: Final = 2.0
# Rounds in which nothing but nodes that are missing is waited for: one may fall into the reload of an sshd.
_ROUNDS: Final = 2
# Characters of what nodes say: 100 nodes wait in some 30 words each.
_WORDS: Final = 2_000
_NO_CONNECTION: Final = "cannot be reached"


@dataclass(frozen=True, kw_only=True)
class Dialled:
    """A node, and the private key (OpenSSH format) that opens it."""

    node: NodeOutputs
    ssh_private_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Put:
    """What this run has put on a node: its files and its WireGuard public key; None where it failed.

    All other nodes come after the `canary`.
    """

    document: str | None
    public_key: str | None
    canary: bool = False


@dataclass(frozen=True)
class Urns:
    """The URNs that remedies name, as the state has them."""

    before: Previous

    def server(self, node: str) -> str:
        """Return the URN of a node's server."""
        name = f"{node}-server"
        found = (urn for (_, called), urn in self.before.urns.items() if called == name)
        return next(found, f"<urn of {name}>")

    def agent(self, node: str) -> tuple[str, str]:
        """Return the URNs of what copies a node's agent and what installs it."""
        steps = {AGENT_FILE: COPY, KEYS: COMMAND}
        copied, installed = (
            self.before.urn(type_, node, step) or f"<urn of {node}-{step}>" for step, type_ in steps.items()
        )
        return copied, installed


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the nodes answered, by name: a report, or why there is none."""

    reports: Mapping[str, "Report"]
    silent: Mapping[str, str]

    @property
    def rotations(self) -> dict[str, "ReportedRotation"]:
        """The rotations that are not done."""
        return under_way(self.reports)

    def without(self, nodes: Collection[str]) -> "Answers":
        """Return the answers of all others."""
        return Answers(
            reports={name: each for name, each in self.reports.items() if name not in nodes},
            silent={name: each for name, each in self.silent.items() if name not in nodes},
        )


class _Agents:
    """The agents of some nodes, each opened with its own key."""

    def __init__(self, dialled: Mapping[str, Dialled], urns: Urns) -> None:
        from mesh.calls.nodes import AgentClient  # noqa: PLC0415 - asyncssh takes a quarter of a second

        self._nodes = dialled
        self._clients: dict[str, AgentClient] = {
            each.ssh_private_key: AgentClient(each, lambda: urns) for each in dialled.values()
        }

    def _client(self, name: str) -> "AgentClient":
        return self._clients[self._nodes[name].ssh_private_key]

    async def ask(self) -> Answers:
        """Ask all nodes side by side."""

        async def one(name: str) -> "Report | str":
            try:
                return await self._client(name).report(self._nodes[name].node, "status")
            except NodeError as error:
                return str(error)

        found = dict(zip(self._nodes, await asyncio.gather(*map(one, self._nodes)), strict=True))
        silent = {name: each for name, each in found.items() if isinstance(each, str)}
        return Answers(
            reports={name: each for name, each in found.items() if not isinstance(each, str)}, silent=silent
        )

    async def tell(self, name: str, settled: Mapping[str, str], gone: Collection[str] = ()) -> bool:
        """Tell a node which peers are done, or gone; tells whether the node took that."""
        said = settle_input(settled, gone)
        try:
            ran = await self._client(name).call(self._nodes[name].node, "settle", said)
        except NodeError:
            return False
        return ran.code == 0


async def look_ahead(dialled: Mapping[str, Dialled], urns: Urns, back: Collection[str]) -> Answers:
    """Ask nodes how far they are.

    A node that comes `back` was out, so no peer has a key of before with it any more: it is told so, and ends
    the rotation in which it was taken out.
    """
    agents = _Agents(dialled, urns)
    answers = await agents.ask()
    held = {name: each for name, each in answers.rotations.items() if name in back}
    await asyncio.gather(*(agents.tell(name, {}, gone=each.pairs.keys()) for name, each in held.items()))
    return answers


def refuse_under_way(answers: Answers, *, done: bool, what: str) -> None:
    """Refuse to replace keys while nodes still replace the ones before. Raises `pulumi.RunError`.

    `done` is whether all nodes had the keys before at the end of a run. Then a node that gives no answer is
    no reason. `what` begins the message.
    """
    rotations = answers.rotations
    silent = {} if done else answers.silent
    if not rotations and not silent:
        return
    under_way = waits_in_words(waits(rotations)) or ", ".join(f"{name} is not done" for name in rotations)
    said = [under_way, *(f"{name} gives no answer ({why})" for name, why in silent.items())]
    words = _shown("; ".join(filter(None, said)))
    raise pulumi.RunError(
        f"{what}: the rotation before this one is not done: {words}. No key was replaced: a node that never "
        f"got the keys before would never meet the others again. Write the numbers (`rotation`, "
        f"`generation`) as they were before, and run up until the rotation is done: revive nodes that others "
        f"wait for, or take them out with `enabled: false`. Then raise the numbers again."
    )


def refuse_silent(answers: Answers, makers: Collection[str], *, what: str) -> None:
    """Refuse to replace keys while a node that has to make its own gives no answer. Raises `pulumi.RunError`.

    No other node could be told its new key. `what` begins the message.
    """
    silent = {name: answers.silent[name] for name in sorted(makers) if name in answers.silent}
    if silent:
        said = "; ".join(f"{name} ({why})" for name, why in silent.items())
        raise pulumi.RunError(
            f"{what}: these nodes make their keys themselves (`keySource: node`) and give no answer: "
            f"{_shown(said)}. No key was replaced. Start these nodes, or take them out with `enabled: "
            f"false`, and run up again. A server that is dead is made anew first, in a run without a higher "
            f"number."
        )


async def wait_until_settled(
    dialled: Mapping[str, Dialled],
    put: Mapping[str, Put],
    urns: Urns,
    *,
    port: int,
    what: str,
    pause: float = _PAUSE_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Wait until all nodes have the new keys, and carry evidence between them.

    `put` has all nodes that take part, `dialled` those of them that can be asked; `port` is WireGuard's
    second one, `what` begins every message. Raises `pulumi.RunError`: who waits for whom, and what helps;
    after `patience` seconds without progress, or at once where only nodes are waited for that failed or
    cannot be reached.
    """
    agents, course = _Agents(dialled, urns), _Course(put)
    clock = asyncio.get_running_loop().time
    last, rounds = clock(), 0
    while True:
        course.take(await agents.ask())
        if course.done:
            return
        if course.moved():
            last = clock()
            pulumi.log.info(f"{what}: {course.progress()}")
        await course.carry(agents.tell)
        rounds = rounds + 1 if course.only_missing else 0
        if rounds == _ROUNDS or clock() - last > patience:
            raise pulumi.RunError(f"{what}: {course.failure(port)}")
        await asyncio.sleep(pause)


class _Course:
    """How a rotation goes on, as far as the nodes have said."""

    def __init__(self, put: Mapping[str, Put]) -> None:
        self._put = put
        self._documents = {
            name: hashlib.sha256(each.document.encode()).hexdigest()
            for name, each in put.items()
            if each.document is not None
        }
        self._keys = {name: each.public_key for name, each in put.items() if each.public_key is not None}
        self._answers = Answers(reports={}, silent={})
        self._seen: set[tuple[object, ...]] = set()
        self._told: dict[str, dict[str, str]] = {}

    def take(self, answers: Answers) -> None:
        """Take what the nodes answer now."""
        self._answers = answers

    @property
    def _missing(self) -> dict[str, str]:
        """The nodes that cannot do their part now, and why, in words."""
        found = {}
        for name in self._put:
            report = self._answers.reports.get(name)
            if name not in self._documents:
                found[name] = "has not taken this run's files"
            elif report is None:
                said = self._answers.silent.get(name)
                found[name] = _NO_CONNECTION + (f" ({said})" if said else "")
            elif report.current != self._documents[name]:
                found[name] = "has other files than this run's"
        return found

    @property
    def _waits(self) -> list[Wait]:
        return waits(self._answers.rotations)

    @property
    def done(self) -> bool:
        """Whether no key is being replaced any more, on any node."""
        return not self._missing and not self._answers.rotations

    @property
    def only_missing(self) -> bool:
        """Whether nobody waits for anybody but nodes that cannot do their part."""
        missing = self._missing
        waited = {
            name: {each.peer for each in self._waits if each.node == name}
            for name in self._answers.rotations
            if name not in missing
        }
        return all(peers and peers <= missing.keys() for peers in waited.values())

    def moved(self) -> bool:
        """Whether a node or a pair has come further than ever before.

        A node that comes and goes does not count each time.
        """
        rotations = self._answers.rotations
        ended = self._put.keys() - self._missing.keys() - rotations.keys()
        steps: set[tuple[object, ...]] = {(name,) for name in ended}
        for name, rotation in rotations.items():
            waiting = sum(bool(pair.waits) for pair in rotation.pairs.values())
            steps |= {(name, rotation.phase), (name, rotation.phase, waiting)}
            steps |= {(name, peer, pair.route) for peer, pair in rotation.pairs.items()}
        news = steps - self._seen
        self._seen |= steps
        return bool(news)

    def progress(self) -> str:
        """Say how far the nodes are."""
        rotations = self._answers.rotations
        done = len(self._put) - len({*self._missing, *rotations})
        left = sum(
            pair.route != "new" or bool(pair.waits) for r in rotations.values() for pair in r.pairs.values()
        )
        ways = "1 way" if left == 1 else f"{left} ways"
        return f"{done} of {len(self._put)} nodes are done, {ways} between nodes to go"

    async def carry(self, tell: Callable[[str, Mapping[str, str]], Awaitable[bool]]) -> None:
        """Tell nodes of peers that are done for good: once, unless a node did not take that."""
        known = evidence(self._answers.reports, self._documents, self._keys)
        news = {
            name: settled
            for name, rotation in self._answers.rotations.items()
            if (
                settled := {
                    peer: known[peer] for peer, pair in rotation.pairs.items() if pair.waits and peer in known
                }
            )
            and self._told.get(name) != settled
        }
        taken = await asyncio.gather(*(tell(name, settled) for name, settled in news.items()))
        self._told |= {
            name: settled for (name, settled), took in zip(news.items(), taken, strict=True) if took
        }

    def failure(self, port: int) -> str:
        """Say who waits for whom, and what helps."""
        missing = self._missing
        said = [waits_in_words(self._waits), *(f"{name} {why}" for name, why in missing.items())]
        names = next((name for name in missing if self._put[name].canary), ", ".join(missing))
        if missing:
            helps = (
                f"Correct what is wrong with {names} (errors above say what), or take out what is dead with "
                f"`enabled: false`, and run up again"
            )
        else:
            helps = (
                f"See that UDP port {port} is open between these nodes, also in firewalls on the way, and "
                f"run up again; `python -m mesh check` shows how the nodes are"
            )
        words = "; ".join(filter(None, said)) or f"{', '.join(self._answers.rotations)} is not done"
        return (
            f"not all nodes have their new keys yet: {_shown(words)}. Nothing is lost: these pairs go "
            f"on with the old keys. {helps}."
        )


def _shown(words: str) -> str:
    return shown(words, limit=_WORDS)
