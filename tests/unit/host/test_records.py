"""The agent's records are what the standard library's frozen dataclasses would be."""

import dataclasses
from typing import Any

import pytest

from mesh.host import records


def _made(module: Any) -> Any:
    """Return the same class, made by one module or the other."""

    class Secret:
        name: str
        key: str = module.field(repr=False)
        parts: tuple[int, ...] = ()
        inner: Any = None

        @property
        def size(self) -> int:
            return len(self.parts)

        def __str__(self) -> str:
            return self.name

    Secret.__qualname__ = "Secret"
    return module.dataclass(frozen=True)(Secret)


OURS, THEIRS = _made(records), _made(dataclasses)
ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a", "b"), {}),
    (("a",), {"key": "b", "parts": (1, 2)}),
    ((), {"name": "a", "key": "b", "inner": {"x": [1]}}),
]
WRONG: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("a",), {}),
    (("a", "b", (), None, 5), {}),
    (("a", "b"), {"name": "c"}),
    (("a", "b"), {"other": 1}),
]


@pytest.mark.parametrize(("given", "named"), ARGUMENTS)
def test_values_are_kept_shown_and_compared_alike(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = OURS(*given, **named), THEIRS(*given, **named)
    assert repr(ours) == repr(theirs)
    assert "b" not in repr(ours).partition("(")[2]
    assert (str(ours), ours.size, ours.key) == (str(theirs), theirs.size, theirs.key)
    assert records.asdict(ours) == dataclasses.asdict(theirs)
    assert ours == OURS(*given, **named) != records.replace(ours, name="z")
    assert repr(records.replace(ours, name="z")) == repr(dataclasses.replace(theirs, name="z"))
    assert ours != theirs
    assert ours.__eq__(given) is NotImplemented


def test_records_are_keys() -> None:
    assert {OURS("a", "b"): 1}[OURS("a", "b", ())] == 1
    assert hash(OURS("a", "b")) != hash(OURS("a", "c"))


@pytest.mark.parametrize(("given", "named"), WRONG)
def test_wrong_arguments_are_refused_without_their_values(
    given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    for made in (OURS, THEIRS):
        with pytest.raises(TypeError) as refused:
            made(*given, **named)
        assert "'b'" not in str(refused.value)


def test_nothing_changes() -> None:
    for made in (OURS, THEIRS):
        value = made("a", "b")
        with pytest.raises(AttributeError):
            value.name = "c"
        with pytest.raises(AttributeError):
            del value.name
    with pytest.raises(TypeError):
        records.replace(OURS("a", "b"), other=1)


def test_records_within_records_become_plain() -> None:
    inner = [OURS("b", "k"), {"x": OURS("c", "k")}]
    assert records.asdict(OURS("a", "k", inner=inner)) == dataclasses.asdict(
        THEIRS("a", "k", inner=[THEIRS("b", "k"), {"x": THEIRS("c", "k")}])
    )
