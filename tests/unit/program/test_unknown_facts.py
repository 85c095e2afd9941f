"""Whatever is not known in a preview: the files of a node are rendered, with a gap there and nowhere else."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import mocks

from mesh.program.access import Access, Committed
from mesh.program.directory import Directory
from mesh.program.files import RunFacts, node_files
from mesh.render import UNKNOWN_TEXT, Doors, Endpoint, Moving, RenderError
from tests.examples import examples
from tests.unit.meshes import plan_of
from tests.unit.program.recording import own_loop

PLAN = plan_of(
    {
        "cidr": "10.10.0.0/24",
        "nodes": {
            "a": {"address": "10.10.0.1"},
            "b": {"address": "10.10.0.2"},
            "c": {"address": "10.10.0.3"},
        },
        "policy": [{"from": ["all"], "to": ["all"], "allow": ["tcp/80"]}],
    }
)
SERVER, FORMER, WANTED = "42", "ssh-ed25519 former", "ssh-ed25519 wanted"
DIRECTORY = {
    "a": {"address": "10.10.0.1", "public_key": "A", "endpoint": "192.0.2.1:51820"},
    "b": {"address": "10.10.0.2", "public_key": "B", "endpoint": "192.0.2.2:51820"},
    "c": {"address": "10.10.0.3", "public_key": "C", "endpoint": "[2001:db8::3]:51820"},
}
# Each fact by its place, and the lines of a's files that say it.
FACTS = {
    ("directory", "a", "public_key"): [],
    ("directory", "a", "endpoint"): [],
    ("directory", "b", "address"): [],
    ("directory", "b", "public_key"): ["PublicKey = B"],
    ("directory", "b", "endpoint"): ["Endpoint = 192.0.2.2:51820", "            192.0.2.2,"],
    ("directory", "c", "endpoint"): ["Endpoint = [2001:db8::3]:51820"],
    ("private",): ["# PrivateKey = key:private"],
    ("preshared",): ["# PresharedKey = key:preshared-b", "# PresharedKey = key:preshared-c"],
    ("preshared", "c"): ["# PresharedKey = key:preshared-c"],
    ("management",): [f"{WANTED} wireguard-mesh"],
    ("server",): [],
}
ACCESS = Access(
    port=22,
    endpoint_port=51820,
    moving=Moving(ssh_ports=(2222,), ports=(51821,)),
    committed=Committed(
        server=SERVER,
        address="192.0.2.1",
        doors=Doors(
            ssh_ports=(22,),
            ports=(51820,),
            management_keys=(FORMER,),
            endpoints=frozenset({Endpoint(address=ip_address("192.0.2.2"), port=51820)}),
            public=(),
            ssh_sources=("0.0.0.0/0",),
        ),
        ssh_ports=(22,),
        management_keys=(FORMER,),
        private_keys={FORMER: "secret"},
        host_key=None,
    ),
)


def _facts(unknown: frozenset[tuple[str, ...]]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "directory": {name: dict(kept) for name, kept in DIRECTORY.items()},
        "private": "private",
        "preshared": {"b": "preshared-b", "c": "preshared-c"},
        "management": WANTED,
        "server": SERVER,
    }
    for *way, last in sorted(unknown, key=len, reverse=True):
        place = facts
        for step in way:
            place = place[step]
        place[last] = pulumi.output.UNKNOWN
    return facts


def _files(unknown: frozenset[tuple[str, ...]], *, preview: bool) -> Any:
    """What the program makes of it: a text, or what stands for a value that is not known."""
    with own_loop() as loop:
        mocks.set_mocks(_NoEngine(), "wireguard-mesh", "test", preview)
        facts = {name: pulumi.Output.from_input(value) for name, value in _facts(unknown).items()}
        directory = Directory.of(facts.pop("directory"))
        files = node_files(PLAN.nodes["a"], ACCESS, RunFacts(directory=directory, **facts))
        return loop.run_until_complete(files.future(with_unknowns=True))


def _outputs_made(peers: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often Pulumi makes an output for the files of a node with this number of peers."""
    names = ["a", *(f"n{number}" for number in range(peers))]
    nodes = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate(names, 1)}
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": nodes})
    kept = {name: {"public_key": name, "endpoint": "192.0.2.1:51820"} for name in names}
    made: list[object] = []
    with own_loop() as loop, monkeypatch.context() as patch:
        mocks.set_mocks(_NoEngine(), "wireguard-mesh", "test", preview=False)
        text_of: Callable[[str], pulumi.Output[str]] = pulumi.Output.from_input
        facts = RunFacts(
            directory=Directory.of(pulumi.Output.from_input(kept)),
            private=text_of("private"),
            preshared=text_of("root").apply(lambda _: dict.fromkeys(names[1:], "preshared")),
            management=text_of(WANTED),
            server=text_of(SERVER),
        )
        loop.run_until_complete(facts.directory.future())
        from_input: Callable[[Any], pulumi.Output[Any]] = pulumi.Output.from_input

        def counted(value: Any) -> pulumi.Output[Any]:
            made.append(value)
            return from_input(value)

        patch.setattr(pulumi.Output, "from_input", counted)
        text: Any = loop.run_until_complete(node_files(plan.nodes["a"], ACCESS, facts).future())
    assert text.count("PresharedKey = key:preshared\n") == peers
    return len(made)


def test_pulumi_makes_no_output_for_each_peer_of_each_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hundred nodes that is twenty thousand of them, more than for all resources."""
    assert _outputs_made(5, monkeypatch) == _outputs_made(2, monkeypatch)


class _NoEngine(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"nothing is called, but {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        raise AssertionError(f"nothing is made, but {args.name}")


few = examples(0.4)  # each one is a small run of the program
SUBSETS = st.frozensets(st.sampled_from(sorted(FACTS)))


@few
@given(SUBSETS)
def test_in_a_preview_every_fact_may_be_unknown(unknown: frozenset[tuple[str, ...]]) -> None:
    known, text = _files(frozenset(), preview=True), _files(unknown, preview=True)
    assert isinstance(text, str)
    gone = {line for fact in unknown for line in FACTS[fact]}
    # what is not known takes the place of what is; a server that is not known is another one
    kept = [line for line in known.splitlines() if line not in gone and not _moves(line)]
    shown = [line for line in text.splitlines() if UNKNOWN_TEXT not in line and not _moves(line)]
    if ("directory", "c", "endpoint") in unknown:
        kept = [line for line in kept if not _of_ipv6_endpoints(line)]
        shown = [line for line in shown if not _of_ipv6_endpoints(line)]
    assert [line for line in shown if line not in kept] == []
    assert [line for line in kept if line not in shown] == []
    assert (UNKNOWN_TEXT in text) == bool(gone)
    assert (f"{FORMER} wireguard-mesh" in text) == (("server",) not in unknown)
    assert ("tcp dport { 22, 2222 }" in text) == (("server",) not in unknown)


def _moves(line: str) -> bool:
    """What depends on whether this is the server that was."""
    return "tcp dport" in line or line == f"{FORMER} wireguard-mesh"


def _of_ipv6_endpoints(line: str) -> bool:
    """What is only there for a peer with an IPv6 endpoint."""
    return "peer_endpoints" in line or line.strip() in {"type ipv6_addr", "2001:db8::3,", "elements = {", "}"}


@few
@given(SUBSETS)
def test_an_up_never_makes_files_with_a_gap(unknown: frozenset[tuple[str, ...]]) -> None:
    files = _files(unknown, preview=False)
    assert isinstance(files, pulumi.output.Unknown) == bool(unknown)
    assert isinstance(files, str) != bool(unknown)


@pytest.mark.parametrize("place", [("directory",), ("directory", "b")])
def test_a_directory_without_a_node_or_without_anything_raises_nothing(place: tuple[str, ...]) -> None:
    files = _files(frozenset({place}), preview=True)
    if len(place) == 1:
        assert isinstance(files, pulumi.output.Unknown)
    else:
        assert f"# b\n[Peer]\nPublicKey = {UNKNOWN_TEXT}\n" in files
        assert f"Endpoint = {UNKNOWN_TEXT}\n" in files


def test_an_entry_that_cannot_be_read_is_told_with_its_place_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DIRECTORY, "b", {**DIRECTORY["b"], "endpoint": "2001:db8::1:51820"})
    with pytest.raises(RenderError) as refused:
        _files(frozenset(), preview=True)
    assert str(refused.value) == (
        "directory: b: '2001:db8::1:51820' is not an address and a port such as 192.0.2.1:51820; "
        "`pulumi up` without --target writes the directory again"
    )
    monkeypatch.setitem(DIRECTORY, "b", {"address": "10.10.0.2"})
    with pytest.raises(RenderError, match=r"^directory: b: has no public_key and no endpoint; "):
        _files(frozenset(), preview=True)
