import hashlib
from typing import Any

import pulumi
import pytest

from mesh.program.confirmed import line_to_run, require_confirmed

DOCUMENT = "wgmesh-files 1\n"
DIGEST = hashlib.sha256(DOCUMENT.encode()).hexdigest()
LINE = "exec python3 x apply"


def _args(stdout: Any) -> pulumi.ResourceHookArgs:
    return pulumi.ResourceHookArgs(
        urn="urn:pulumi:s::p::t::web-1-apply",
        id="x",
        name="web-1-apply",
        type="command:remote:Command",
        new_inputs={"stdin": DOCUMENT},
        new_outputs={"stdout": stdout},
    )


@pytest.mark.parametrize(
    "said", [f"CONFIRMED {DIGEST}", f"UNCHANGED {DIGEST}", f"Welcome\nCONFIRMED {DIGEST}"]
)
def test_the_files_that_were_sent_are_what_counts(said: str) -> None:
    require_confirmed(_args(said))


@pytest.mark.parametrize(
    "said",
    [
        "CONFIRMED x",
        "CONFIRMED",
        f"CONFIRMED {'ab' * 32}",
        f"CONFIRMED {DIGEST}\nwhatever",
        f"STORED {DIGEST}",
        "",
        None,
        "\x1b]0;PWNED\x07\x1b[2Jall is well",
        "x" * 1_000_000,
    ],
)
def test_nothing_else_does_and_what_is_shown_of_it_is_harmless(said: str | None) -> None:
    with pytest.raises(RuntimeError, match=r"^web-1 did not confirm the new files") as caught:
        require_confirmed(_args(said))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


def test_a_wrong_answer_in_the_state_gives_the_next_run_another_line() -> None:
    right, wrong = f"CONFIRMED {DIGEST}", "CONFIRMED x"
    first = line_to_run(LINE, {})
    assert first == LINE
    again = line_to_run(LINE, {"create": first, "stdin": DOCUMENT, "stdout": wrong})
    assert again.startswith(f"{LINE} # again")
    assert line_to_run(LINE, {"create": again, "stdin": DOCUMENT, "stdout": wrong}) == LINE
    for confirmed in (first, again):
        record = {"create": confirmed, "stdin": DOCUMENT, "stdout": right}
        assert line_to_run(LINE, record) == confirmed, "no change by itself"
    assert line_to_run("another", {"create": again, "stdin": DOCUMENT, "stdout": right}) == "another"
