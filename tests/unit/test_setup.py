"""What tools/setup.sh installs, for who cannot try it on every distribution; and what make leaves out."""

import contextlib
import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.conftest import THOROUGH

HERE = Path(__file__).parent
SETUP = (HERE.parents[1] / "tools" / "setup.sh").read_text()
REQUIREMENTS = HERE.parents[1] / "requirements"


def test_the_keys_of_debian_are_installed_which_ubuntu_lacks() -> None:
    packages = re.search(r'^packages="([^"]+)"', SETUP, re.MULTILINE)
    assert packages is not None
    assert "debian-archive-keyring" in packages[1].split(), "mmdebstrap cannot tell whose packages it gets"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_what_the_pinned_packages_need_on_each_python_is_pinned(python: str) -> None:
    """pip refuses a package without hashes; and `make lock` sees one Python alone."""
    environment = {"python_version": python, "python_full_version": f"{python}.1"}
    text = "".join(path.read_text() for path in (REQUIREMENTS / "dev.txt", REQUIREMENTS / "python-3.13.txt"))
    lines = re.findall(r"^(\S+==[^\\\n]+)", text, re.MULTILINE)
    pinned = {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in map(Requirement, lines)
        if each.marker is None or each.marker.evaluate(environment)
    }
    needed = {
        (name, requirement)
        for name in pinned
        for requirement in _requires(name)
        if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""})
    }
    assert len(needed) > 100
    assert [
        f"{name} needs {requirement}"
        for name, requirement in needed
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), ""))
    ] == []


def _requires(name: str) -> list[Requirement]:
    """Return what an installed package needs; of one that this Python does not need, nothing is known."""
    with contextlib.suppress(PackageNotFoundError):
        return [Requirement(line) for line in requires(name) or ()]
    return []


def test_what_make_check_leaves_out_is_there() -> None:
    for entry in THOROUGH:
        file, _, test = entry.partition("::")
        assert not test or f"\ndef {test}(" in (HERE / file).read_text(), entry
        assert (HERE / file).is_file(), entry
