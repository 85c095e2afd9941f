"""How large a packet gets from each node to each other one in one piece, for `reach --mtu` and `check`."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.calls.nodes import NodeError
from mesh.cli.outputs import NOT_MADE
from mesh.cli.reach import Runner
from mesh.names import INTERFACE
from mesh.outputs import MeshOutputs
from mesh.said import last_line, shown

__all__ = ["PROBE_SECONDS", "Path", "Paths", "probe"]

PROBE_SECONDS: Final = 60.0
"""Seconds for one node, connecting included (10): where packets are lost, the search takes about 25."""

# A ping of 56 bytes: what gets through wherever anything does.
_LEAST: Final = 84
_END: Final = "wgmesh-all-probed"
# Each peer at once; prints `<address> <MTU> <bytes that pass>`, 0 bytes where nothing comes back. The MTU is
# the one that the node's packets have: of the peer's route, otherwise of the interface. A tunnel may have to
# come up first: a lost handshake is sent again after 5 seconds (REKEY_TIMEOUT, WireGuard whitepaper 6.1), so
# small packets go for 7, and only then is the size in question. A lost packet may be chance, so one of three
# decides, and one of two in the search. In one line, which every login shell takes.
_PROBE: Final = r"""
command -v ping >/dev/null || echo "! ping is not installed";
for to in @addresses@; do {
mtu=$(ip route get $to 2>&1; ip link show dev @interface@ 2>&1);
mtu=${mtu#* mtu }; mtu=${mtu%%[!0-9]*};
of() { size=$1; shift; ping -n -q -I @interface@ -M do "$@" -s $((size - 28)) $to >/dev/null 2>&1; };
fits() { of $1 -c $2 -i 0.2 -W 1; };
if fits $mtu 1; then echo "$to $mtu $mtu";
elif ! of @least@ -c 1 -i 0.5 -w 7; then echo "$to $mtu 0";
elif fits $mtu 3; then echo "$to $mtu $mtu";
else low=@least@; high=$mtu;
while [ $((high - low)) -gt 1 ]; do half=$(((low + high) / 2));
if fits $half 2; then low=$half; else high=$half; fi; done;
echo "$to $mtu $low"; fi;
} & done; wait; echo @end@
""".strip().replace("\n", " ")
_ANSWER: Final = re.compile(r"(\S+) ([0-9]{1,5}) ([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class Path:
    """From a node to another one, there and back: its MTU, and the largest packet that passes, in bytes."""

    mtu: int
    passes: int

    @property
    def whole(self) -> bool:
        """Whether packets of the full size pass."""
        return self.passes >= self.mtu


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The path of every ordered pair; None where no packet comes back. `problems` are those of nodes."""

    pairs: Mapping[tuple[str, str], Path | None]
    problems: Mapping[str, str]

    @property
    def holes(self) -> dict[tuple[str, str], Path]:
        """The pairs that lose large packets, though small ones pass."""
        return {pair: path for pair, path in self.pairs.items() if path is not None and not path.whole}

    @property
    def lost(self) -> list[tuple[str, str]]:
        """The pairs without any answer."""
        return [pair for pair, path in self.pairs.items() if path is None]


async def probe(mesh: MeshOutputs, run: Runner) -> Paths:
    """Send packets of the full size between all enabled nodes, and search for what passes where not."""
    names = [name for name, node in mesh.nodes.items() if node.enabled]
    peers = {name: [other for other in names if mesh.nodes[name].has_path_to(other)] for name in names}
    answers = await asyncio.gather(*(_probe(run, mesh, name, peers[name]) for name in names))
    pairs: dict[tuple[str, str], Path | None] = {}
    problems = {}
    for name, (found, problem) in zip(names, answers, strict=True):
        pairs |= {(name, other): found.get(other) for other in peers[name]}
        if problem is not None:
            problems[name] = problem
    return Paths(pairs=pairs, problems={**problems, **dict.fromkeys(mesh.missing, NOT_MADE)})


async def _probe(
    run: Runner, mesh: MeshOutputs, source: str, peers: Sequence[str]
) -> tuple[dict[str, Path], str | None]:
    """Return the paths to the peers that answer, and why the source itself could not be asked."""
    addresses = {mesh.nodes[peer].address: peer for peer in peers}
    if not addresses:
        return {}, None
    try:
        printed = await run(mesh.nodes[source], _command(list(addresses)))
    except NodeError as error:
        return {}, str(error)
    found: dict[str, Path] = {}
    trouble = None
    if f"{_END}\n" not in printed:
        said = shown(last_line(printed)) or "its shell printed nothing"
        trouble = f"could not run the pings on this node: {said}"
    for line in printed.split("\n"):
        answer = _ANSWER.fullmatch(line)
        if answer and answer[1] in addresses and int(answer[3]):
            found[addresses[answer[1]]] = Path(mtu=int(answer[2]), passes=int(answer[3]))
        elif line.startswith("! "):
            trouble = f"could not run ping on this node: {shown(line[2:])}"
    return found, trouble


def _command(addresses: Sequence[str]) -> str:
    words = {"addresses": " ".join(addresses), "interface": INTERFACE, "least": str(_LEAST), "end": _END}
    command = _PROBE
    for name, value in words.items():
        command = command.replace(f"@{name}@", value)
    return command
