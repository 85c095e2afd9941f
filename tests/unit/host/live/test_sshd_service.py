import socket
from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.live import sshd_service
from mesh.host.live.sshd_service import require_offer


def test_an_sshd_that_hangs_is_given_up_in_time_to_undo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it has to fit into the time that a call of the agent has: killed, nothing would be put back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(sshd_service, "session_end", lambda: ("127.0.0.1", port))
        monkeypatch.setattr(sshd_service, "_OFFER_SECONDS", 1.5)
        monkeypatch.setattr(sshd_service, "_ASK_LIMIT", ("timeout", "1"))
        with pytest.raises(AgentError, match=f"did not answer on port {port}") as told:
            require_offer("ssh-ed25519 AAAA", tmp_path)
    assert told.value.answer is Answer.FAILED
    assert list(tmp_path.iterdir()) == []
