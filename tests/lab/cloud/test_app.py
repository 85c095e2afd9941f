"""What holds for every route: tokens, limits, errors, the access log."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hcloud import APIException, Client

from tests.lab.cloud.world import TOKEN, LabCloud, public_key, unique


def error(answer: requests.Response) -> tuple[int, str]:
    body = answer.json()["error"]
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    return answer.status_code, body["code"]


def test_a_token_is_needed(cloud: LabCloud) -> None:
    answer = requests.get(f"{cloud.url}/servers", timeout=5)
    assert answer.status_code == 401
    assert answer.json() == {
        "error": {"code": "unauthorized", "message": "token is required", "details": None}
    }
    for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {'y' * 64}"):
        assert error(cloud.ask("GET", "/servers", headers={"Authorization": wrong})) == (401, "unauthorized")
    with pytest.raises(APIException, match="unauthorized"):
        Client(token="x" * 64, api_endpoint=cloud.url).servers.get_all()


def test_unknown_paths_and_methods(cloud: LabCloud) -> None:
    assert error(requests.get(f"{cloud.url}/novelties", timeout=5)) == (404, "not_found")  # before the token
    assert error(cloud.ask("GET", "/volumes")) == (404, "not_found")
    assert error(cloud.ask("GET", "/servers/1")) == (404, "not_found")
    assert error(cloud.ask("GET", "/servers/x")) == (404, "not_found")
    assert cloud.ask("PATCH", "/servers").status_code == 405


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"{", 400, "json_error"),
        (b"\xff", 400, "json_error"),
        (b"[" * 100_000, 400, "json_error"),
        (b"[]", 422, "invalid_input"),
        (b"", 422, "invalid_input"),
        (b'{"name": 1, "type": "spread"}', 422, "invalid_input"),
        (b'{"name": "\\u0000", "type": "spread"}', 422, "invalid_input"),
        (b'{"name": "\\ud800", "type": "spread"}', 422, "invalid_input"),
        (b'{"name": "x", "type": "spread", "labels": {"a": 1}}', 422, "invalid_input"),
    ],
)
def test_bodies_that_are_none(cloud: LabCloud, data: bytes, status: int, code: str) -> None:
    answer = requests.post(
        f"{cloud.url}/placement_groups", data=data, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert error(answer) == (status, code)


def test_every_wrong_field_is_told_at_once(cloud: LabCloud) -> None:
    body = {"name": "-", "server_type": "cx23", "image": "debian-12", "labels": {"-": ""}, "ssh_keys": 7}
    answer = cloud.ask("POST", "/servers", body)
    fields = {field["name"]: field["messages"] for field in answer.json()["error"]["details"]["fields"]}
    assert set(fields) == {"name", "labels", "ssh_keys"}
    assert all(messages and all(messages) for messages in fields.values())


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[LabCloud]:
    """A cloud that takes ten requests, and one more every second."""
    cloud = LabCloud(state=tmp_path / "cloud", options={"requests": 10})
    cloud.start()
    yield cloud
    cloud.process.stop()


def test_too_many_requests(tight: LabCloud) -> None:
    answers = [tight.ask("GET", "/locations") for _ in range(30)]
    left = [int(answer.headers["RateLimit-Remaining"]) for answer in answers]
    assert left[0] == 9
    assert answers[0].headers["RateLimit-Limit"] == "10"
    refusals = [answer for answer in answers if answer.status_code == 429]
    assert refusals
    assert error(refusals[-1]) == (429, "rate_limit_exceeded")
    assert refusals[-1].headers["RateLimit-Remaining"] == "0"
    assert 0 < int(refusals[-1].headers["RateLimit-Reset"]) - time.time() < 15
    assert tight.client.locations.get_all()  # the official client waits and tries again


def test_the_log_holds_no_secret(cloud: LabCloud) -> None:
    marks = {name: f"secret-{name}-{unique('x')}" for name in ("user", "query", "wrong", "body")}
    password = cloud.create(user_data=f"#cloud-config\n# {marks['user']}\n").root_password
    cloud.client.ssh_keys.create(name=unique("key"), public_key=public_key())
    cloud.ask("GET", f"/servers?name={marks['query']}&token={TOKEN}")
    cloud.ask("GET", "/servers", headers={"Authorization": f"Bearer {marks['wrong']}"})
    cloud.ask("POST", "/servers", {"name": marks["body"], "user_data": marks["body"]})
    log = (cloud.state / "access.log").read_text()
    assert "POST /v1/servers 201" in log
    assert "GET /v1/servers 401" in log
    for name in ("access.log", "cloud.log", "cloud.pid"):
        text = (cloud.state / name).read_text()
        assert not [mark for mark in (*marks.values(), TOKEN, password) if mark in text], name


def test_what_is_kept_is_nobody_elses(cloud: LabCloud) -> None:
    cloud.create(user_data="#cloud-config\n# secret-of-mine\n")
    assert cloud.state.stat().st_mode & 0o077 == 0
    kept = cloud.state / "cloud.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert TOKEN not in kept.read_text()
    assert "secret-of-mine" not in json.dumps(_answers(cloud))


def _answers(cloud: LabCloud) -> list[Any]:
    return [cloud.ask("GET", path).json() for path in ("/servers", "/servers/actions")]
