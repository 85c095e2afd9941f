import struct

from mesh.host.commands.guard import who_did_it
from mesh.host.system.netlink import Message, attributes, text
from mesh.host.trial.tracing import Drop, Packet, Tracer


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def test_attributes_are_read_with_their_padding() -> None:
    raw = attribute(1, b"wgmesh\0") + attribute(0x8002, b"\0\0\0\2")
    assert attributes(raw) == {1: b"wgmesh\0", 2: b"\0\0\0\2"}
    assert text(attributes(raw)[1]) == "wgmesh"


def test_what_is_cut_or_empty_ends_the_reading() -> None:
    assert attributes(b"") == {}
    assert attributes(b"\0\0\1\0rest") == {}
    assert attributes(attribute(1, b"abcd")[:6]) == {1: b"ab"}


def test_a_program_is_named_with_what_it_most_likely_was() -> None:
    told = {2: struct.pack(">I", 0), 3: b"nft\0"}
    assert "`nft`" in who_did_it(told)
    assert "flush ruleset" in who_did_it(told)
    assert who_did_it({}) == "`` (process 0)"


def packet(source: str, target: str, ports: tuple[int, int]) -> dict[int, bytes]:
    network = bytes([0x45]) + bytes(8) + bytes([6]) + bytes(2)
    network += b"".join(bytes(int(part) for part in end.split(".")) for end in (source, target))
    return {8: network, 9: struct.pack(">HH", *ports)}


def test_a_drop_belongs_to_the_packet_that_was_last_told_of_under_its_number() -> None:
    tracer = Tracer()
    first = {
        6: b"id01",
        1: b"mine\0",
        2: b"c\0",
        4: struct.pack(">I", 3),
        **packet("1.0.0.1", "1.0.0.2", (9, 22)),
    }
    tracer._take(Message(17, 1, first))
    policy = {6: b"id01", 1: b"filter\0", 2: b"INPUT\0", 4: struct.pack(">I", 1), 16: bytes(4)}
    tracer._take(Message(17, 2, policy))
    assert tracer.drops == {Packet("tcp", "1.0.0.1", 9, "1.0.0.2", 22): Drop("ip", "filter", "INPUT", None)}
    assert (
        Drop("ip", "filter", "INPUT", None).words().startswith("table ip filter, chain INPUT (policy drop)")
    )


def test_an_accepted_packet_is_no_drop() -> None:
    tracer = Tracer()
    verdict = attribute(1, struct.pack(">i", 1))
    rule = {6: b"id01", 1: b"mine\0", 2: b"c\0", 3: bytes(8), 4: struct.pack(">I", 3), 5: verdict}
    tracer._take(Message(17, 1, {**rule, **packet("1.0.0.1", "1.0.0.2", (9, 22))}))
    assert tracer.drops == {}
