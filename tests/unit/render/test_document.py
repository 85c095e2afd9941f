import difflib
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mesh.host.files.document import parse_document
from mesh.render import UNKNOWN, UNKNOWN_TEXT, KeyNames, Moving, PeerFacts, RenderError, render_document
from tests.examples import examples
from tests.unit.meshes import MANAGEMENT, documents_of, facts_of, key_names_of, meshes, plan_of

few = examples(0.4)  # rendering a mesh takes a while, and meshes are alike

PAIR: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}},
}


_RENDER = """
import json, sys, yaml
from tests.unit.meshes import documents_of, plan_of
json.dump([documents_of(plan_of(yaml.safe_load(open(path)))) for path in sys.argv[1:]], sys.stdout)
"""


_COMPILED = """
import sys
from pathlib import Path
from mesh.render import document
place = Path(sys.argv[1])
document.compile_templates()
print(*sorted(str(path.relative_to(place)) for path in place.rglob("*.cache")), sep="\\n")
"""


def test_templates_are_compiled_once_for_each_python_and_jinja(tmp_path: Path) -> None:
    def kept(code: str, *options: str) -> list[str]:
        words = [sys.executable, *options, "-c", code, str(tmp_path)]
        environment = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
        run = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return run.stdout.split()

    assert kept(_COMPILED, "-B") == []
    found = kept(_COMPILED)
    assert len(found) == len([*(Path(__file__).parents[3] / "mesh/render/templates").iterdir()])
    assert kept(_COMPILED) == found
    assert all(f"-{sys.implementation.cache_tag}-{version('jinja2')}-" in path for path in found)


def test_the_same_mesh_gives_the_same_bytes_in_every_run() -> None:
    """Whatever order a process has its sets in."""
    cases = [str(path) for path in sorted((Path(__file__).parent / "golden").glob("*/mesh.yaml"))]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _RENDER, *cases],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]
    one, other = (json.loads(run.communicate(timeout=60)[0]) for run in runs)
    assert len(one) == len(cases) > 3
    assert one == other


@few
@given(meshes(), st.randoms(use_true_random=False))
def test_neither_stack_file_nor_directory_need_an_order(mesh: dict[str, Any], chance: random.Random) -> None:
    plan = plan_of(mesh)
    names = list(mesh["nodes"])
    chance.shuffle(names)
    shuffled = plan_of({**mesh, "nodes": {name: mesh["nodes"][name] for name in names}})
    facts = facts_of(plan)
    for name, text in documents_of(plan).items():
        node = shuffled.nodes[name]
        other = {peer: facts[peer] for peer in names}
        assert render_document(node, other, key_names_of(node), management_key=MANAGEMENT) == text


@few
@given(meshes())
def test_every_document_is_one_the_agent_takes(mesh: dict[str, Any]) -> None:
    for text in documents_of(plan_of(mesh)).values():
        parse_document(text.encode())


@few
@given(meshes())
def test_no_address_of_the_mesh_is_routed_to_two_peers(mesh: dict[str, Any]) -> None:
    for text in documents_of(plan_of(mesh)).values():
        allowed = re.findall(r"^AllowedIPs = (.*)$", text, re.MULTILINE)
        assert len(set(allowed)) == len(allowed)
        assert all(network.endswith("/32") for network in allowed)
        assert f"{re.findall(r'^Address = ([0-9.]*)', text, re.MULTILINE)[0]}/32" not in allowed


@few
@given(meshes(at_least=2))
def test_adding_a_node_adds_one_peer_and_set_elements_and_a_name(mesh: dict[str, Any]) -> None:
    *rest, added = mesh["nodes"]
    before = documents_of(plan_of({**mesh, "nodes": {name: mesh["nodes"][name] for name in rest}}))
    after = documents_of(plan_of(mesh))
    address = mesh["nodes"][added]["address"]
    for name in rest:
        lines = list(difflib.ndiff(before[name].splitlines(), after[name].splitlines()))
        new = [line[2:] for line in lines if line.startswith("+ ")]
        gone = [line[2:] for line in lines if line.startswith("- ")]
        # an empty set has no element list at all
        frame = {"", "elements = {", "}"}
        peer = after[name].split(f"\n# {added}\n", 1)[1].split("\n\n", 1)[0].split("\n==>", 1)[0].splitlines()
        element = f"            192.0.0.{address.rpartition('.')[2]},"
        expected = [f"# {added}", *peer, element, f"{address} {added}"]
        assert [line for line in gone if line.strip() not in frame] == []
        assert sorted(line for line in new if line.strip() not in frame) == sorted(expected)


def test_what_a_preview_cannot_know_reads_so_and_the_rest_is_there() -> None:
    node = plan_of(PAIR).nodes["a"]
    facts = {"b": PeerFacts(public_key=UNKNOWN, endpoint=UNKNOWN)}
    names = KeyNames(private="0" * 16, preshared={"b": UNKNOWN})
    text = render_document(node, facts, names, management_key=UNKNOWN)
    assert text.count(UNKNOWN_TEXT) == 5  # two keys, the endpoint, the firewall's element, the SSH key
    assert "AllowedIPs = 10.10.0.2/32\n" in text
    assert "# PrivateKey = key:0000000000000000\n" in text


def test_no_file_but_the_plan_says_how_the_tunnel_is_called() -> None:
    plan = plan_of({**PAIR, "policy": [], "port": 51821})
    node = plan.nodes["a"]
    other = replace(node, overlay=replace(node.overlay, interface="other7"))
    moving = Moving(ports=(51820,))
    one, renamed = (
        render_document(each, facts_of(plan), key_names_of(node), management_key=MANAGEMENT, moving=moving)
        for each in (node, other)
    )
    assert one.count("wg0") > 10
    assert renamed == one.replace("wg0", "other7")


def test_peers_the_directory_does_not_know_are_named() -> None:
    plan = plan_of({**PAIR, "nodes": {**PAIR["nodes"], "c": {"address": "10.10.0.3"}}})
    node = plan.nodes["a"]
    for known, told in (({"a", "c"}, "b"), ({"a"}, "b, c")):
        facts = {name: facts for name, facts in facts_of(plan).items() if name in known}
        with pytest.raises(RenderError, match=f"^a: the directory does not know {told}$"):
            render_document(node, facts, key_names_of(node), management_key="k")


@given(st.text(max_size=20))
def test_no_content_can_pass_for_the_start_of_a_file(text: str) -> None:
    assume("\n" not in text)
    plan = plan_of(PAIR)
    node = plan.nodes["a"]
    with pytest.raises(RenderError, match="authorized_keys line 1 starts with"):
        render_document(node, facts_of(plan), key_names_of(node), management_key=f"==> {text}")


def test_a_line_that_would_separate_files_is_told_with_its_place() -> None:
    plan = plan_of(PAIR)
    node = plan.nodes["a"]
    moving = Moving(management_keys=("==> x", "==> y"))
    with pytest.raises(RenderError) as error:
        render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT, moving=moving)
    assert str(error.value) == (
        "a: /root/.ssh/authorized_keys line 2 starts with '==> ', which separates files"
    )


def test_ports_that_move_are_written_as_a_set_the_one_that_stays_first() -> None:
    plan = plan_of({**PAIR, "ssh": {"port": 2222}, "port": 51822})
    node = plan.nodes["a"]
    still, moving = (
        render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT, moving=each)
        for each in (Moving(ports=(51821,)), Moving(ssh_ports=(22, 2022), ports=(51821, 51820)))
    )
    assert "        tcp dport 2222 ip saddr @ssh_sources4 accept" in still
    assert "        tcp dport { 2222, 22, 2022 } ip saddr @ssh_sources4 accept" in moving
    assert 'iifname != "wg0" udp dport 51821 ip saddr @peer_endpoints fib daddr type local' in still
    assert (
        "udp dport { 51821, 51820 } ip saddr @peer_endpoints fib daddr type local udp dport set 51822"
        in moving
    )
