from pathlib import Path

import pytest

from lab.engine.project import ProjectError, StackFile

TEXT = """\
config:
  p:mesh:
    nodes:
      web-1: {address: 10.10.0.1}
      web-1: {address: 10.10.0.2}
"""


def test_a_key_given_twice_is_refused_as_pulumi_does(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text(TEXT)
    with pytest.raises(ProjectError, match=r'line 5: mapping key "web-1" already defined at line 4'):
        StackFile(path)


def test_one_line_may_not_repeat_a_key_either(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text("config: {a:b: 1, a:b: 2}\n")
    with pytest.raises(ProjectError, match=r'mapping key "a:b" already defined at line 1'):
        StackFile(path)


def test_the_same_key_in_two_places_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.lab.yaml"
    path.write_text(TEXT.replace("web-1: {address: 10.10.0.2}", "web-2: {address: 10.10.0.2}"))
    assert StackFile(path).config["p:mesh"]["nodes"].keys() == {"web-1", "web-2"}
