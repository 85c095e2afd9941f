"""Requests to GitHub, by a `gh` that prints what the real one prints."""

from pathlib import Path

import pytest

from tools.ci import github
from tools.ci.runner import CiError


def _gh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "gh").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "pages", ['[{"id": 1}, {"id": 2}]', '[{"id": 1}][{"id": 2}]', '[{"id": 1}]\n[{"id": 2}]\n']
)
def test_all_pages_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: str) -> None:
    """Older versions print a list for each page, newer ones a single list."""
    _gh(tmp_path, monkeypatch, f"cat <<'E'\n{pages}\nE")
    assert [each["id"] for each in github.everything("repos/some/meshes/pulls?state=open")] == [1, 2]


def test_a_refusal_names_the_request_and_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", "ghs_hidden")
    _gh(tmp_path, monkeypatch, 'echo "gh: Resource not accessible by $GH_TOKEN (HTTP 403)" >&2; exit 1')
    with pytest.raises(
        CiError, match=r"PATCH repos/x/y/issues/1`: gh: Resource not accessible by \*\*\* .* permissions"
    ):
        github.api("PATCH", "repos/x/y/issues/1", {"state": "closed"})


def test_only_the_comment_of_a_workflow_is_updated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = "<!-- ours -->"
    listed = (
        f'[{{"id": 1, "user": {{"type": "User"}}, "body": "{first}"}},'
        f' {{"id": 2, "user": {{"type": "Bot"}}, "body": "other"}},'
        f' {{"id": 3, "user": {{"type": "Bot"}}, "body": "{first}\\nold"}}]'
    )
    _gh(tmp_path, monkeypatch, f"echo \"$*\" >>{tmp_path}/calls; case $3 in GET) cat <<'E'\n{listed}\nE\n;;"
        " *) cat >/dev/null; echo '{\"html_url\": \"u\"}';; esac")  # fmt: skip
    assert github.comment("some/meshes", 7, f"{first}\nnew") == "u"
    assert "--method PATCH repos/some/meshes/issues/comments/3 --input -" in (tmp_path / "calls").read_text()
