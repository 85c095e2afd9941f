from typing import Any

import pytest

from mesh.program.machines.hetzner.wishes import (
    ImageOffer,
    Offers,
    Present,
    TypeOffer,
    Wish,
    doubts,
    refusals,
)

EUROPE = frozenset(("fsn1", "nbg1"))
BOTH = frozenset(("x86", "arm"))


def _type(disk: int, architecture: str = "x86", **more: Any) -> TypeOffer:
    sold = more.pop("sold", EUROPE)
    return TypeOffer(
        architecture=architecture, disk=disk, sold=sold, in_stock=more.pop("in_stock", sold), **more
    )


OFFERS = Offers(
    locations=("fsn1", "nbg1", "ash"),
    types={
        "cx23": _type(40),
        "cx33": _type(80),
        "cx43": _type(160, in_stock=frozenset(("nbg1",))),
        "cax11": _type(40, "arm"),
        "cpx11": _type(40, sold=frozenset(("ash",)), until={"ash": "2027-01-31"}),
    },
    images={
        "debian-12": ImageOffer(architectures=BOTH, disk=5),
        "debian-13": ImageOffer(architectures=frozenset(("x86",)), disk=5),
        "debian-11": ImageOffer(architectures=BOTH, disk=5, until="2027-01-31"),
        "debian-10": ImageOffer(architectures=BOTH, disk=5, usable=False),
        "161547269": ImageOffer(architectures=frozenset(("x86",)), disk=160),
    },
    image_names=("debian-12", "debian-13"),
)
NOW = Present(location="fsn1", type="cx33", image="debian-12", disk=80)


def _wish(present: Present | None = None, **more: str) -> Wish:
    wanted = {"location": "fsn1", "type": "cx33", "image": "debian-12", **more}
    paths = {key: f"mesh.nodes.a.{key}" for key in wanted}
    return Wish(node="a", paths=paths, present=present, **wanted)


def _said(wish: Wish) -> list[str]:
    return [str(problem) for problem in refusals([wish], OFFERS)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"location": "fsn2"},
            "location: the cloud has no location fsn2; did you mean fsn1? it has fsn1, nbg1, ash",
        ),
        ({"location": "nurnberg"}, "location: the cloud has no location nurnberg; it has fsn1, nbg1, ash"),
        ({"type": "cx32"}, "type: the cloud has no server type cx32; did you mean cx33? it has"),
        ({"type": "m5"}, "type: the cloud has no server type m5; it has cx23, cx33, cx43, cax11"),
        ({"image": "debian-99"}, "image: the cloud has no image debian-99; did you mean debian-1"),
        ({"location": "ash"}, "type: cx33 is not sold in ash (a); it is sold in fsn1, nbg1; ash has cpx11"),
        ({"type": "cpx11"}, "type: cpx11 is not sold in fsn1 (a); it is sold in ash; fsn1 has cx23, cx33"),
        ({"type": "cax11", "image": "debian-13"}, "image: debian-13 is made for x86, but cax11 (a) is arm"),
        (
            {"image": "161547269"},
            "image: 161547269 needs a disk of 160 GB, and cx33 (a) has 80; take a larger type",
        ),
        ({"image": "debian-10"}, "image: debian-10 cannot be used"),
    ],
)
def test_a_server_that_cannot_be_made_is_refused(change: dict[str, Any], says: str) -> None:
    (problem,) = _said(_wish(**change))
    assert problem.startswith(f"mesh.nodes.a.{says}"), problem


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"type": "cax11"},
            "type: a is x86 (cx33), and cax11 is arm: a server cannot change its architecture",
        ),
        ({"type": "cx23"}, "type: a has a disk of 80 GB, cx23 has 40, and a disk never shrinks"),
        (
            {"type": "cx43"},
            "type: cx43 is sold out in fsn1 at the moment, but its server would be powered off",
        ),
        ({"type": "cx99"}, "type: the cloud has no server type cx99"),
        ({"type": "cpx11"}, "type: cpx11 is not sold in fsn1"),
        ({"image": "debian-99"}, "image: the cloud has no image debian-99"),
        ({"location": "hel9"}, "location: the cloud has no location hel9"),
        ({"location": "ash"}, "type: cx33 is not sold in ash"),
        ({"location": "nbg1", "image": "debian-99"}, "image: the cloud has no image debian-99"),
    ],
)
def test_a_server_that_cannot_become_that_is_refused_while_it_runs(change: dict[str, str], says: str) -> None:
    assert _said(_wish(NOW, **change))[0].startswith(f"mesh.nodes.a.{says}")


@pytest.mark.parametrize(
    "wish",
    [
        _wish(),
        _wish(type="cax11"),
        _wish(type="cx23", location="nbg1"),
        _wish(NOW),
        _wish(NOW, location="nbg1", type="cx23"),  # made anew there, with a disk of its own
        _wish(NOW, location="nbg1", type="cax11"),
        _wish(NOW, image="debian-13"),
        _wish(Present(location="fsn1", type="cx22", image="debian-12", disk=40), type="cx33"),
        _wish(Present(location="fsn1", type="cx23", image="debian-10", disk=40), image="debian-10"),
    ],
)
def test_what_can_be_done_is_not_refused(wish: Wish) -> None:
    assert _said(wish) == []


def test_the_disk_that_a_server_has_counts_and_not_the_one_of_its_type() -> None:
    grown = Present(location="fsn1", type="cx23", image="debian-12", disk=80)
    assert "has a disk of 80 GB" in _said(_wish(grown, type="cax11", image="debian-12"))[0] or _said(
        _wish(grown, type="cax11")
    )[0].startswith("mesh.nodes.a.type: a is x86")
    kept = Present(location="fsn1", type="cx33", image="debian-12", disk=40)  # resized without its disk
    assert _said(_wish(kept, type="cx23")) == []


def test_a_default_that_is_wrong_for_all_is_told_once() -> None:
    paths = {key: f"mesh.defaults.{key}" for key in ("location", "type", "image")}
    wishes = [
        Wish(node=name, location="fsn9", type="cx23", image="debian-12", paths=paths)
        for name in ("a", "b", "c")
    ]
    (problem,) = refusals(wishes, OFFERS)
    assert problem.path == "mesh.defaults.location"


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (
            _wish(type="cx43"),
            "mesh.nodes.a.type: cx43 is sold out in fsn1 at the moment: creating a will probably fail",
        ),
        (
            _wish(type="cpx11", location="ash"),
            "mesh.nodes.a.type: cpx11 is sold in ash only until 2027-01-31",
        ),
        (_wish(image="debian-11"), "mesh.nodes.a.image: debian-11 can be used only until 2027-01-31"),
    ],
)
def test_what_may_fail_or_end_soon_is_told_and_not_refused(wish: Wish, says: str) -> None:
    assert _said(wish) == []
    (doubt,) = doubts([wish], OFFERS)
    assert str(doubt).startswith(says)


def test_only_what_differs_from_the_server_is_looked_up() -> None:
    assert not _wish(NOW).is_new
    assert _wish().is_new
    assert all(_wish(NOW, **{key: "other"}).is_new for key in ("location", "type", "image"))
