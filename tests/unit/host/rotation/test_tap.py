"""Packets as a tap gets them, and as a message is sent."""

import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.host.rotation.messages import MAGIC, PROBE, ROUTE
from mesh.host.rotation.tap import _program, echo_request, parse_packet

PAYLOAD = MAGIC + bytes(range(28))


def _packet(*, identifier: int = ROUTE, payload: bytes = PAYLOAD, kind: int = 8) -> bytes:
    """An IPv4 packet from 10.10.0.2 to 10.10.0.1 (RFC 791), with an echo request or another kind of ICMP."""
    icmp = bytearray(echo_request(identifier, 7, payload))
    icmp[0] = kind
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 1, 0x4000, 64, 1, 0)
    return header + bytes([10, 10, 0, 2, 10, 10, 0, 1]) + icmp


def _with(raw: bytes, place: int, value: bytes) -> bytes:
    return raw[:place] + value + raw[place + len(value) :]


@pytest.mark.parametrize("identifier", [ROUTE, PROBE])
def test_a_message_is_read(identifier: int) -> None:
    assert parse_packet(_packet(identifier=identifier)) == ("10.10.0.2", PAYLOAD)


def test_what_ethernet_fills_up_is_no_part_of_a_message() -> None:
    assert parse_packet(_packet(payload=MAGIC) + bytes(10)) == ("10.10.0.2", MAGIC)


@pytest.mark.parametrize(
    "raw",
    [
        _packet(kind=0),
        _packet(identifier=0x5766),
        _packet(payload=b"wgmeshR2" + PAYLOAD[8:]),
        _packet()[:-1],
        _with(_packet(), 0, b"\x46"),  # IP options
        _with(_packet(), 0, b"\x65"),  # IPv6
        _with(_packet(), 6, b"\x20\x00"),  # the first of several fragments
        _with(_packet(), 6, b"\x00\x01"),  # another fragment
        _with(_packet(), 9, b"\x11"),  # UDP
        _with(_packet(), 2, b"\x00\x14"),  # a header alone
    ],
)
def test_what_is_no_whole_message_is_none(raw: bytes) -> None:
    assert parse_packet(raw) is None


@given(st.binary(max_size=80))
@example(b"")
def test_no_packet_is_an_error(raw: bytes) -> None:
    for start in (b"", _packet()[:36]):
        found = parse_packet(start + raw)
        assert found is None or found[1].startswith(MAGIC)


@given(st.integers(0, 0xFFFF), st.binary(max_size=50))
@example(7, b"odd")
def test_the_sum_of_a_request_is_all_ones(sequence: int, payload: bytes) -> None:
    raw = echo_request(PROBE, sequence, payload)
    assert raw[:2] == b"\x08\x00"
    assert struct.unpack("!HH", raw[4:8]) == (PROBE, sequence)
    assert raw[8:] == payload
    padded = raw + b"\0" * (len(raw) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def _passes(
    addresses: list[str], raw: bytes, *, protocol: int = 0x0800, kind: int = socket.PACKET_HOST
) -> bool:
    """Run the filter as the kernel does (linux/filter.h): loads, jumps if equal, returns."""
    program = list(struct.iter_unpack("=HBBI", _program(addresses)))
    beside = {0xFFFFF000: protocol, 0xFFFFF004: kind}
    accumulator = at = 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x06:
            return bool(value)
        if code == 0x15:
            at += yes if accumulator == value else no
        else:
            size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
            accumulator = (
                beside[value] if value in beside else int.from_bytes(raw[value : value + size], "big")
            )


OWN = "10.10.0.1"


@pytest.mark.parametrize(
    "addresses", [[OWN], ["10.10.0.9", OWN], [OWN, "10.10.0.9"], ["10.10.0.8", OWN, "10.10.0.9"]]
)
@pytest.mark.parametrize("identifier", [ROUTE, PROBE])
def test_messages_to_each_own_address_are_heard(addresses: list[str], identifier: int) -> None:
    """While a node's address moves, a peer may send to another one than the first."""
    assert _passes(addresses, _packet(identifier=identifier))


@pytest.mark.parametrize("addresses", [["10.10.0.9"], ["10.10.0.8", "10.10.0.9"]])
def test_messages_to_others_are_not(addresses: list[str]) -> None:
    assert not _passes(addresses, _packet())


@pytest.mark.parametrize(
    "raw", [_packet(kind=0), _packet(identifier=0x5766), _packet(payload=b"wgmeshR2" + PAYLOAD[8:])]
)
@pytest.mark.parametrize("addresses", [[OWN], [OWN, "10.10.0.9"]])
def test_the_filter_drops_all_else(addresses: list[str], raw: bytes) -> None:
    assert not _passes(addresses, raw)
    assert not _passes(addresses, _packet(), protocol=0x86DD)
    assert not _passes(addresses, _packet(), kind=socket.PACKET_OUTGOING)
    for place, value in ((0, b"\x46"), (9, b"\x11"), (20, b"\x00")):
        assert not _passes(addresses, _with(_packet(), place, value))
