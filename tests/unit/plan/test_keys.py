import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.plan import fingerprint, preshared_key

ROOT = bytes(range(32))
_NAMES = st.text("abc-", min_size=1, max_size=4)


def test_a_fingerprint_never_changes_between_versions() -> None:
    assert fingerprint(ROOT) == "f6263011a4afbec0"


def test_a_pre_shared_key_never_changes_between_versions() -> None:
    assert (
        preshared_key(ROOT, "web-1", "db-1", 1).hex()
        == "de5a2ad9df3dc580b1bf0eb9e57f2883449d8b0e5b69d73a3605551b430f801c"
    )


@pytest.mark.parametrize("length", [0, 31, 33])
def test_only_a_key_has_a_fingerprint(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, not {length}"):
        fingerprint(b"x" * length)


@given(_NAMES, _NAMES, st.integers(0, 9))
def test_both_ends_derive_the_same_key(one: str, other: str, epoch: int) -> None:
    assert preshared_key(ROOT, one, other, epoch) == preshared_key(ROOT, other, one, epoch)
    assert len(preshared_key(ROOT, one, other, epoch)) == 32


@given(st.lists(st.tuples(_NAMES, _NAMES, st.integers(0, 9)), max_size=8))
def test_every_pair_and_epoch_has_its_own(cases: list[tuple[str, str, int]]) -> None:
    distinct = {(*sorted(names), epoch) for *names, epoch in cases}
    assert len({preshared_key(ROOT, one, other, epoch) for one, other, epoch in cases}) == len(distinct)


def test_another_root_gives_other_keys() -> None:
    assert preshared_key(ROOT, "a", "b", 1) != preshared_key(ROOT[::-1], "a", "b", 1)
