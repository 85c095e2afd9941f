import socket
from collections.abc import Iterator

import pytest

from mesh.host.system import sockets
from mesh.host.system.sockets import Listener, listeners, parse_listeners


@pytest.fixture
def listening() -> Iterator[set[tuple[str, int]]]:
    """Some that listen, and a connection, which does not."""
    made = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")):
        made.append(socket.create_server((address, 0), family=family))
    with socket.create_connection(made[0].getsockname()):
        yield {each.getsockname()[:2] for each in made}
    for each in made:
        each.close()


def _own(found: list[Listener], wanted: set[tuple[str, int]]) -> list[Listener]:
    ports = {port for _address, port in wanted}
    return sorted((each for each in found if each.port in ports), key=lambda each: (each.port, each.address))


def test_the_kernel_tells_what_its_tables_show(listening: set[tuple[str, int]]) -> None:
    shown = [each for table in sockets._TABLES for each in parse_listeners(table.read_text())]
    found = _own(listeners(), listening)
    assert {(each.address, each.port) for each in found} == listening
    assert found == _own(shown, listening)


def test_a_kernel_that_cannot_be_asked_has_its_tables(
    listening: set[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _own(listeners(), listening)
    monkeypatch.setattr(sockets, "_BY_FAMILY", 99)  # which no kernel knows
    with pytest.raises(OSError):
        list(sockets._asked(socket.AF_INET))
    assert _own(listeners(), listening) == asked
