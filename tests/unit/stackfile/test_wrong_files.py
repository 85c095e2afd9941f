"""Stack files that people got wrong, one mistake in each: what is said, and that doing so helps.

`wrong.txt` has every line that `mesh validate` prints of them; WGMESH_RENEW=1 writes this file again.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from mesh.program import KINDS
from mesh.settings import Problem, SettingsError, parse_settings
from mesh.settings.remedies import mended, proven
from mesh.stackfile.check import Report, check_file
from mesh.stackfile.document import mesh_part
from mesh.stackfile.report import as_json, lines
from mesh.stackfile.schema import stack_schema
from mesh.stackfile.syntax import NotYamlError
from mesh.stackfile.tree import read_yaml
from tests.unit.wrong_values import REMEDY

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("wrong/*.yaml"))
GOLDEN = HERE / "wrong.txt"
PROJECT = "wireguard-mesh"
SCHEMA = Draft202012Validator(stack_schema(KINDS))
# Right, or right as far as a file can tell: the cloud is asked by the preview.
VALID = {
    "all-disabled", "image-ubuntu", "location-unknown", "name-boolean-yes", "network-of-kubernetes",
    "octal-port", "one-address-alone", "token-missing", "top-key-unknown", "wrong-namespace-mesh-at-top",
}  # fmt: skip
# What one value must be to another one, what is true of a key's bytes, and what YAML alone decides.
BEYOND_A_SCHEMA = {
    "address-network", "address-twice", "canary-unknown", "cidr-100-64-10", "cidr-overlaps-docker-172-17",
    "cidr-with-host-bits", "config-twice", "gateway-of-the-cloud", "group-named-as-node",
    "key-twice", "loopback-as-a-source", "mesh-is-json-in-one-text", "network-of-docker-trusted",
    "node-twice",
    "policy-self", "policy-unknown-group", "policytests-no-policy-deny",
    "public-22",
    "public-overlap", "public-wg-port", "ssh-from-host-bits", "too-many-ports", "unquoted-ipv6",
}  # fmt: skip


def _said(path: Path) -> list[str]:
    return [line.replace(f"{path.parent}/", "") for line in lines(check_file(path, KINDS))]


def test_what_is_said_of_each_file() -> None:
    said = "\n".join(line for path in FILES for line in _said(path)) + "\n"
    if os.environ.get("WGMESH_RENEW"):
        GOLDEN.write_text(said)
    assert said.splitlines() == GOLDEN.read_text().splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mistake_has_a_place_and_a_remedy_and_shows_no_secret(path: Path) -> None:
    report = check_file(path, KINDS)
    assert report.valid == (path.stem in VALID)
    text = path.read_text().split("\n")
    for found in (*report.problems, *report.warnings):
        assert 1 <= found.mark.line <= len(text)
        assert 1 <= found.mark.column <= len(text[found.mark.line - 1]) + 1
    for found in report.problems:
        assert REMEDY.search(found.message) or "; docs/stack-file.md" in found.message, found.message
    told = "\n".join([*lines(report), as_json([report])])
    for secret in ("yAnz5TF", "b3BlbnNza", "Yq3xVb7Lk2"):
        assert secret.lower() not in told.lower()


def _mesh(path: Path) -> Any:
    try:
        part = mesh_part(read_yaml(path.read_text()), PROJECT)
    except NotYamlError:
        return None
    return None if part is None else part.raw


def _problems(raw: Any) -> tuple[Problem, ...]:
    try:
        parse_settings(raw, kinds=KINDS)
    except SettingsError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_valid_once_its_literal_remedies_are_applied(path: Path, tmp_path: Path) -> None:
    raw = _mesh(path)
    problems = _problems(raw)
    if raw is None or not problems:
        return
    problems = tuple(proven(raw, problems, _problems))
    if not all(problem.instead for problem in problems):
        return
    for choice in range(max(len(problem.instead) for problem in problems)):
        right = raw
        for problem in reversed(problems):
            remedy = problem.instead[min(choice, len(problem.instead) - 1)]
            right = mended(right, problem.place or (), remedy)
        written = tmp_path / "Pulumi.lab.yaml"
        written.write_text(yaml.safe_dump({"config": {f"{PROJECT}:mesh": right}}))
        assert list(lines(check_file(written, KINDS)))[-1].split(": ")[1].startswith("valid")


def test_most_files_have_remedies_that_can_be_applied() -> None:
    literal = [
        path.stem for path in FILES if (found := _problems(_mesh(path))) and all(p.instead for p in found)
    ]
    assert len(literal) > 50


@pytest.mark.parametrize("name", ["config-misspelled", "namespace-with-underscore", "key-with-a-dot"])
def test_a_key_around_the_mesh_can_be_renamed(name: str, tmp_path: Path) -> None:
    path = HERE / "wrong" / f"{name}.yaml"
    (problem,) = json.loads(as_json([check_file(path, KINDS)]))["files"][0]["problems"]
    text = path.read_text().split("\n")
    line = text[problem["line"] - 1]
    wrong = re.escape(problem["path"].removeprefix("config."))
    text[problem["line"] - 1] = re.sub(rf"{wrong}(?=:(\s|$))", problem["instead"][0]["key"], line)
    right = tmp_path / "Pulumi.lab.yaml"
    right.write_text("\n".join(text))
    (tmp_path / "Pulumi.yaml").write_text(f"name: {PROJECT}\n")
    report = check_file(right, KINDS)
    assert report.valid, list(lines(report))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_refuses_what_it_can(path: Path) -> None:
    try:
        document = read_yaml(path.read_text()).value()
    except NotYamlError:
        return
    accepted = SCHEMA.is_valid(document)
    assert accepted == (path.stem in VALID | BEYOND_A_SCHEMA)


def test_the_lists_of_this_file_name_files() -> None:
    assert {path.stem for path in FILES} >= VALID | BEYOND_A_SCHEMA


def test_a_report_is_json_for_programs() -> None:
    path = HERE / "wrong" / "port-without-proto.yaml"
    (found,) = json.loads(as_json([check_file(path, KINDS)]))["files"]
    assert found == {
        "file": str(path),
        "valid": False,
        "problems": [
            {
                "line": 9,
                "column": 52,
                "path": "mesh.nodes.web-1.public[1]",
                "message": "443 has no protocol; write tcp/443 or udp/443",
                "instead": [{"value": "tcp/443"}, {"value": "udp/443"}],
            }
        ],
        "warnings": [],
    }


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    def said(path: Path) -> str:
        (line,) = lines(check_file(path, KINDS))
        return line.removeprefix(f"{path}:1:1: the file: ")

    assert said(tmp_path / "none.yaml").startswith(
        "cannot be read: No such file or directory; name files, such as"
    )
    assert said(tmp_path).startswith("cannot be read: Is a directory; name files, such as")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"config: \xe4\n")
    assert said(latin) == "byte 8 is not UTF-8; save the file as UTF-8"
    with_mark = tmp_path / "mark.yaml"
    with_mark.write_bytes(b"\xef\xbb\xbf" + (HERE / "wrong" / "location-unknown.yaml").read_bytes())
    assert check_file(with_mark, KINDS).valid


def test_the_name_of_the_stack_counts_and_an_example_is_checked_as_its_copy(tmp_path: Path) -> None:
    text = (HERE / "wrong" / "location-unknown.yaml").read_text()

    def report(name: str) -> Report:
        path = tmp_path / name
        path.write_text(text)
        return check_file(path, KINDS)

    assert report("Pulumi.prod.yaml").valid
    assert report("Pulumi.prod.example.yaml").valid
    long = report(f"Pulumi.{'p' * 60}.yaml")
    assert "make the name of the node or of the stack shorter" in long.problems[0].message
    (name,) = report("Pulumi.pr_1.yaml").problems
    assert (name.path, name.mark) == ("the stack's name", (5, 3))
