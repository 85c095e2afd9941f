"""In no order of events is a pair dead, a key given up too early, or a rotation without a way to its end."""

from dataclasses import replace
from typing import Any

import pytest

from mesh.host.rotation.messages import Way
from mesh.host.rotation.pairs import Pairs
from mesh.host.rotation.progress import Phase
from tests.unit.host.rotation.meshes import Mesh, mesh
from tests.unit.host.rotation.model import Found, Model, Search


def found(before: Mesh, after: Mesh, **planted: Any) -> Found:
    return Search(Model(before, after, **planted)).run()


TWO = mesh("web-1", "web-2")
ONE_KEY = mesh("web-1", "web-2", **{"web-1": 2})
THREE = mesh("web-1", "web-2", "db-1")
BOTH_KEYS = mesh("web-1", "web-2", **{"web-1": 2, "web-2": 2})


@pytest.mark.parametrize("after", [ONE_KEY, BOTH_KEYS, replace(TWO, preshared=2)])
def test_two_nodes_come_through_whatever_happens(after: Mesh) -> None:
    result = found(TWO, after)
    assert (result.wrong, result.trace) == (None, [])
    assert result.states > 400


@pytest.mark.parametrize(
    "changed",
    [
        ["web-1"],
        pytest.param(["web-1", "db-1"], marks=pytest.mark.long),
        pytest.param(["web-1", "web-2", "db-1"], marks=pytest.mark.long),
    ],
)
def test_three_nodes_come_through_whatever_happens(changed: list[str]) -> None:
    """A peer may be a step ahead of this node, and another one a step behind."""
    result = found(THREE, mesh("web-1", "web-2", "db-1", **dict.fromkeys(changed, 2)))
    assert (result.wrong, result.trace) == (None, [])
    assert result.states > 10_000


def test_without_word_from_the_controller_a_node_left_alone_holds_for_good() -> None:
    """Its peer gave up after ten minutes, in which the node was off: the reason for evidence."""
    result = found(TWO, BOTH_KEYS, evidence=False)
    assert result.wrong == "holds for good"
    assert result.trace[-1].endswith(" ends")


class _WithoutWord(Pairs):
    """Gets new keys as soon as the node itself sends by the second interface to all."""

    def _missing(self) -> frozenset[str]:
        if self.progress.phase is Phase.BOTH:
            return self._awaited() - self.progress.moved
        return super()._missing()


class _AllButOne(Pairs):
    """Gets new keys when one peer alone has not said that it sends by the second interface."""

    def _missing(self) -> frozenset[str]:
        missing = super()._missing()
        return missing if len(missing) > 1 or self.progress.phase is not Phase.BOTH else frozenset()


class _WithoutBack(Pairs):
    """Takes the second interface down as soon as the node itself sends by wg0 to all."""

    def _missing(self) -> frozenset[str]:
        if self.progress.phase is Phase.REKEYED:
            return self._awaited() - self.progress.back
        return super()._missing()


class _WithoutEvidence(Pairs):
    """Sends by another way without having heard anything there."""

    def _evident(self, _way: Way, _now: float) -> frozenset[str]:
        return self._awaited()


@pytest.mark.parametrize(
    ("planted", "wrong"),
    [
        pytest.param({"pairs": _WithoutWord}, "gave up the old key", id="a word is missing"),
        pytest.param({"pairs": _WithoutBack}, "does not reach", id="the last word is missing"),
        pytest.param({"pairs": _WithoutEvidence}, "does not reach", id="no evidence"),
        pytest.param({"speaks_first": True}, "gave up the old key", id="word before deed"),
        pytest.param({"steps_back": True}, "gave up the old key", id="backwards"),
    ],
)
def test_a_wrong_protocol_is_found_out(planted: dict[str, Any], wrong: str) -> None:
    result = found(TWO, BOTH_KEYS, **planted)
    assert wrong in (result.wrong or "")
    assert result.trace


def test_a_re_key_with_one_word_missing_of_several_is_found_out() -> None:
    after = mesh("web-1", "web-2", "db-1", **{"web-1": 2, "web-2": 2, "db-1": 2})
    result = found(THREE, after, pairs=_AllButOne)
    assert "gave up the old key" in (result.wrong or "")
