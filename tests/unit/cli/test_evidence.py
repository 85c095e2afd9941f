"""Who may be told as finished: nobody whose keys are not those that the other end will use."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.calls.reports import Report, ReportedDifference, ReportedPair, ReportedRotation
from mesh.cli.evidence import Seen, evidence, parse_keys
from tests.unit.cli.stack import document_of, public_key

OLD, NEW = public_key("old"), public_key("new")
DB, OTHER = public_key("db"), public_key("other")
BOTH = ReportedRotation(
    phase="both", since=1e9, pairs={"db-1": ReportedPair(route="old", waits="no word on port 51821")}
)


def seen(document: str, keys: dict[str, str], rotation: ReportedRotation | None = None) -> Seen:
    """A node that has committed this document."""
    report = Report(
        agent="ab",
        current=hashlib.sha256(document.encode()).hexdigest(),
        state="idle",
        trial=None,
        peers={},
        differences=[],
        rotation=rotation,
    )
    return Seen(report=report, document=document, keys=keys)


# web-1 gets another key; web-1 and db-2 have it already, db-1 rotates
WEB = seen(document_of({"db-1": (DB, "11"), "db-2": (OTHER, "22")}), {"wg0": NEW})
DB_1 = seen(document_of({"web-1": (NEW, "11")}), {"wg0": DB, "wg0-next": DB}, BOTH)


def test_a_node_that_has_finished_is_told_with_its_key() -> None:
    assert evidence("db-1", {"web-1": WEB, "db-1": DB_1}) == {"web-1": NEW}
    lingering = replace(WEB, report=WEB.report.model_copy(update={"rotation": ReportedRotation(
        phase="linger", since=1e9, pairs={})}))  # fmt: skip
    assert evidence("db-1", {"web-1": lingering, "db-1": DB_1}) == {"web-1": NEW}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(WEB, keys={"wg0": OLD}), id="its own key is the former one"),
        pytest.param(replace(WEB, keys={}), id="its key is not known"),
        pytest.param(
            seen(document_of({"db-1": (OLD, "11")}), {"wg0": NEW}), id="it knows a former key of the other"
        ),
        pytest.param(
            seen(document_of({"db-1": (DB, "99")}), {"wg0": NEW}), id="it has the former pre-shared key"
        ),
        pytest.param(seen(document_of({}), {"wg0": NEW}), id="it does not know the other"),
        pytest.param(
            replace(WEB, document=WEB.document + "# newer\n"), id="it has not committed the newest files"
        ),
        pytest.param(replace(WEB, report=WEB.report.model_copy(update={"rotation": BOTH})), id="it rotates"),
        pytest.param(
            replace(
                WEB,
                report=WEB.report.model_copy(
                    update={"differences": [ReportedDifference(item="x", live="a", wanted="b")]}
                ),
            ),
            id="it differs from its files",
        ),
    ],
)
def test_a_node_that_may_still_use_a_former_key_is_not_told(other: Seen) -> None:
    assert evidence("db-1", {"web-1": other, "db-1": DB_1}) == {}


def test_a_node_whose_newest_files_are_not_its_own_is_told_nothing() -> None:
    late = replace(DB_1, document=DB_1.document + "# newer\n")
    assert evidence("db-1", {"web-1": WEB, "db-1": late}) == {}


def test_the_key_to_come_is_the_one_that_counts_of_a_node_that_rotates() -> None:
    document = document_of({"web-1": (NEW, "11")})
    waiting = seen(document, {"wg0": OLD, "wg0-next": DB}, BOTH)
    assert evidence("db-1", {"web-1": WEB, "db-1": waiting}) == {"web-1": NEW}
    assert evidence("db-1", {"web-1": WEB, "db-1": replace(waiting, keys={"wg0": OLD})}) == {}


def test_keys_are_read_by_interface_and_nothing_else_is() -> None:
    text = f"wg0\t{NEW}\nwg0-next\t{OLD}\nwg1\t{DB}\nwg0\nwg0-next\t(none)\n\x1b[2J\n"
    assert parse_keys(text) == {"wg0": NEW, "wg0-next": OLD}
    assert parse_keys("sh: wg: not found\n") == {}


def test_the_documents_of_the_program_are_understood() -> None:
    golden = Path(__file__).parents[1] / "render" / "golden"
    texts = [path.read_text() for path in sorted(golden.rglob("*")) if path.is_file()]
    found = [(text.count("\n[Peer]\n"), len(seen(text, {}).peers)) for text in texts]
    assert sum(peers for peers, _ in found) > 20
    assert [peers for peers, _ in found] == [known for _, known in found]
