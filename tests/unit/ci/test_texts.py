"""What leaves a job: no secret, no more than GitHub takes, nothing that ends its own block of code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.ci.redact import redacted
from tools.ci.texts import LIMIT_BYTES, cut, fenced

TOKEN = "aB3" * 21 + "x"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"invalid token {TOKEN}.", "invalid token ***."),
        (f"got {KEY} here", "got *** here"),
        (KEY[:50], "***"),
        ("pul-" + "0a" * 20, "***"),
        ("open postgres://me:hidden@db/state", "open postgres://***@db/state"),
        ("\x1b[31merror\x1b[0m: no\x07", "error: no"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sha256 " + "0a" * 32,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqsTqnPiBGWDWnL1QYSQvMnb5I0JnrgXwyXXoXUXWgJ",
        "PublicKey = da0yjym4cfJUAIC5xvNDteeN61A5Ql7QTlUilfXC0yI=",
    ],
)
def test_what_a_reviewer_needs_stays(text: str) -> None:
    assert redacted(text) == text


def test_the_secrets_of_the_job_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct horse")
    monkeypatch.setenv("GH_TOKEN", "ghs_abc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "first\nsecond")
    assert redacted("correct horse, ghs_abc, second first") == "***, ***, *** ***"


@given(st.text(alphabet="`~\n ab", max_size=80))
def test_a_text_does_not_end_its_block(text: str) -> None:
    lines = fenced(text).split("\n")
    fence = lines[0].removesuffix("text")
    assert lines[-1] == fence
    assert not any(line.strip().startswith(fence) for line in lines[1:-1])


def test_a_comment_is_never_too_long() -> None:
    text = cut("ü" * LIMIT_BYTES)
    assert len(text.encode()) <= LIMIT_BYTES
    assert "more bytes" in text
    assert cut("short") == "short"
