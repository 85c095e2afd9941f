"""The check itself, and that there was something to check with."""

import json

import pytest
import requests

from tests.lab.cloud.document import MISSING, PATH, Checks, Document, checking
from tests.lab.cloud.world import TOKEN, LabCloud, unique

needs_document = pytest.mark.skipif(not PATH.exists(), reason=MISSING)


@pytest.fixture(scope="module")
def document() -> Document:
    return Document(json.loads(PATH.read_text()))


@needs_document
def test_every_answer_is_held_against_the_official_document(cloud: LabCloud, checks: Checks) -> None:
    before = checks.count
    cloud.client.placement_groups.create(name=unique("group"), type="spread")
    assert checks.count == before + 1


@needs_document
def test_an_answer_that_does_not_fit_is_found(document: Document) -> None:
    good = {
        "id": 1, "command": "c", "status": "success", "progress": 100, "resources": [], "error": None,
        "started": "2026-01-01T00:00:00Z", "finished": None,
    }  # fmt: skip

    def problems(*, http: int = 200, **changed: object) -> list[str]:
        body = json.dumps({"action": {**good, **changed}}).encode()
        return document.problems("GET", "/actions/1", http, body)

    assert problems() == []
    assert "'done' is not one of" in problems(status="done")[0]
    assert "is not of type 'integer'" in problems(progress="a lot")[0]
    assert "is not a 'date-time'" in problems(started="yesterday")[0]
    assert "the document knows 200, 4xx, 5xx" in problems(http=201)[0]
    assert "no such route" in document.problems("GET", "/novelties", 200, b"{}")[0]


@needs_document
def test_a_test_whose_answer_does_not_fit_fails(cloud: LabCloud, document: Document) -> None:
    paths = dict(document.document["paths"])
    del paths["/servers"]
    with checking(Document({"paths": paths})), pytest.raises(pytest.fail.Exception, match="no such route"):
        requests.get(f"{cloud.url}/servers", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
