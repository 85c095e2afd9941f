"""What the kernel says of the ways of packets, as `ip -j route get` prints it."""

from typing import Any

from mesh.host.live.ways import by_query


def test_an_answer_belongs_to_what_was_asked_in_either_family() -> None:
    answers: list[list[dict[str, Any]]] = [
        [{"dst": "10.10.0.2", "dev": "wg0", "prefsrc": "10.10.0.1"}],
        [{"dst": "10.10.0.2", "from": "10.10.0.1", "dev": "wg0"}],
        [{"dst": "fd00::2", "from": "::", "dev": "wg0", "prefsrc": "fd00::1"}],  # iproute2 6.1
        [{"dst": "fd00::2", "from": "fd00::1", "dev": "wg0", "prefsrc": "fd00::1"}],
    ]
    assert list(by_query(answers)) == [
        "10.10.0.2",
        "10.10.0.2 from 10.10.0.1",
        "fd00::2",
        "fd00::2 from fd00::1",
    ]
