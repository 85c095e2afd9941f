import base64
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.rotation.messages import SIZE, Kind, Message, Way, decode, encode, key_of

ONE, OTHER, SECRET, ANOTHER = (base64.b64encode(bytes([number]) * 32).decode() for number in range(1, 5))
KEY = key_of(ONE, OTHER, SECRET)
HERE, THERE = "10.10.0.1", "10.10.0.2"
MESSAGE = Message(Kind.PROBE, Way.NEXT, Way.OLD, 5, 123456789)

_MESSAGES = st.builds(
    Message,
    kind=st.sampled_from(Kind),
    way=st.sampled_from(Way),
    route=st.sampled_from(Way),
    hears=st.integers(0, 15),
    stamp=st.integers(0, 2**64 - 1),
)


@given(_MESSAGES)
def test_what_is_said_is_understood(message: Message) -> None:
    raw = encode(message, key=KEY, source=HERE)
    assert len(raw) == SIZE == 36
    assert decode(raw, key=KEY, source=HERE) == message


def test_the_bytes_stay_the_same_for_nodes_with_another_version_of_the_agent() -> None:
    raw = encode(MESSAGE, key=KEY, source=HERE)
    assert raw[:20].hex() == b"wgmeshR1".hex() + "01" + "01" + "00" + "05" + f"{123456789:016x}"
    key = blake2b(bytes([1] * 32 + [2] * 32), digest_size=32, key=bytes([3] * 32), person=b"wgmesh-rotate")
    mac = blake2b(raw[:20] + bytes([10, 10, 0, 1]), digest_size=16, key=key.digest())
    assert raw[20:] == mac.digest()


def test_both_ends_make_the_same_key_and_no_other_pair_or_rotation_does() -> None:
    assert key_of(OTHER, ONE, SECRET) == KEY
    others = [key_of(ONE, OTHER, ANOTHER), key_of(ONE, ANOTHER, SECRET), key_of(ONE, OTHER, None)]
    assert len({KEY, *others}) == 4
    raw = encode(MESSAGE, key=KEY, source=HERE)
    assert [decode(raw, key=key, source=HERE) for key in others] == [None] * 3


@pytest.mark.parametrize("wrong", ["", "AAAA", ONE[:-1]])
def test_what_is_no_key_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a WireGuard key") as caught:
        key_of(ONE, wrong, SECRET)
    assert SECRET not in str(caught.value)


def test_what_comes_back_is_not_taken_for_the_peers() -> None:
    """A kernel answers an echo request with the same bytes; who copies a message has another address."""
    raw = encode(MESSAGE, key=KEY, source=HERE)
    assert decode(raw, key=KEY, source=THERE) is None


@given(st.integers(0, 8 * SIZE - 1))
def test_no_bit_can_be_changed(bit: int) -> None:
    raw = bytearray(encode(MESSAGE, key=KEY, source=HERE))
    raw[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(raw), key=KEY, source=HERE) is None


@pytest.mark.parametrize("length", [length for length in range(2 * SIZE) if length != SIZE])
def test_only_one_length_is_read(length: int) -> None:
    raw = encode(MESSAGE, key=KEY, source=HERE)
    assert decode((raw + raw)[:length], key=KEY, source=HERE) is None


@given(st.binary(max_size=2 * SIZE))
def test_anything_may_come(raw: bytes) -> None:
    assert decode(raw, key=KEY, source=HERE) is None


@pytest.mark.parametrize("field", [{"kind": 2}, {"way": 3}, {"route": 3}, {"hears": 16}])
def test_a_word_of_a_later_version_is_not_misread(field: dict[str, int]) -> None:
    values = {**MESSAGE.__dict__, **field}
    assert decode(encode(Message(**values), key=KEY, source=HERE), key=KEY, source=HERE) is None
