"""What people read before they join in names what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/versions.md"]


def _workflow(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def _steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in _workflow(path)["jobs"].values() for step in job.get("steps", ())]


def test_the_changelog_has_this_version_first() -> None:
    versions = re.findall(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0][0] == PROJECT["version"]
    for _, when in versions:
        assert when == "not released yet" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", when)


def test_the_licence_is_the_one_that_the_package_names() -> None:
    (name,) = PROJECT["license-files"]
    text = (ROOT / name).read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    words = [word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()]
    named = {
        word
        for word in words
        if re.fullmatch(r"(mesh|lab|bench|tests|tools|docs|stacks|examples|requirements)(/[\w.*-]+)*", word)
    }
    assert [name for name in sorted(named) if not list(ROOT.glob(name))] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    asked = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE))
    assert {one or other for one, other in asked} <= TARGETS
    for command in re.findall(r"-m pytest [^`\n]*", text):
        (path,) = re.findall(r"tests/\S+\.py", command)
        word = re.search(r"-k (\w+)", command)
        assert word is None or re.search(rf"def test_\w*{word[1]}", (ROOT / path).read_text()), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_there_is(path: Path) -> None:
    commands = [step["run"] for step in _steps(path) if "run" in step]
    assert commands or path.name in {"mesh-nightly.yml", "mesh-up.yml"}, "which only call another one"
    for command in commands:
        for target in re.findall(r"\bmake ([a-z-]+)", command):
            assert target in TARGETS
        for script in re.findall(r"(?:^|\s)(\.ci/\S+|tools/\S+)", command):
            assert (ROOT / script).stat().st_mode & 0o111, script


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_uses_actions_by_commit(path: Path) -> None:
    if not path.name.startswith("mesh-"):  # test_workflows.py has the permissions of those
        assert _workflow(path)["permissions"] == {"contents": "read"}
        assert not [job for job in _workflow(path)["jobs"].values() if "permissions" in job]
    uses = re.findall(r"uses: *(.+)$", path.read_text(), re.MULTILINE)
    assert uses
    pinned = r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/[\w-]+\.yml\b.*"
    assert [each for each in uses if not re.fullmatch(pinned, each)] == []


def test_dependency_updates_look_where_the_packages_are_named() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    folders = {each["package-ecosystem"]: each["directory"] for each in updates}
    assert set(folders) == {"pip", "github-actions"}
    assert list((ROOT / folders["pip"].strip("/")).glob("*.in"))


def test_hooks_of_a_commit_are_tools_of_make_check() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        tool = re.fullmatch(r"\.venv/bin/python -m (\w+).*", hook["entry"])
        assert tool is not None
        assert f"$(PYTHON) -m {tool[1]}" in MAKEFILE
