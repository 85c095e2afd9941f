"""The official API document: does an answer fit what it promises?"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("WGMESH_SHARED") or ROOT.parent / "shared")
FETCHED = ROOT / ".lab" / "hcloud-openapi.json"
PATH = FETCHED if FETCHED.exists() else SHARED / "data" / "hcloud-openapi.json"
MISSING = "no API document of Hetzner's on this machine; `make api-document` fetches it"


class Document:
    """Operations and the schemas of their answers."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._paths = [(_pattern(path), operations) for path, operations in document["paths"].items()]
        self._validators: dict[int, Draft202012Validator] = {}

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """Return the operation behind a path (without /v1); a literal path goes before a template."""
        found = [ops for pattern, ops in self._paths if pattern.fullmatch(path) and method.lower() in ops]
        literal = self.document["paths"].get(path)
        if literal is not None and method.lower() in literal:
            found = [literal]
        if not found:
            return None
        operation: Mapping[str, Any] = found[0][method.lower()]
        return operation

    def problems(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        """Say what does not fit; an answer to a route that the document has not may only be a refusal."""
        operation = self.operation(method, path)
        where = f"{method} {path} {status}"
        if operation is None:
            return [] if status >= 400 else [f"{where}: the document has no such route"]
        responses = operation["responses"]
        response = responses.get(str(status)) or responses.get(f"{status // 100}xx")
        if response is None:
            return [f"{where}: the document knows {', '.join(responses)}"]
        content = response.get("content", {}).get("application/json")
        if content is None:
            return [f"{where}: has a body"] if body else []
        found = self._validator(content["schema"]).iter_errors(json.loads(body))
        return [f"{where}: {error.json_path}: {error.message[:300]}" for error in found]

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = Draft202012Validator(
                schema, format_checker=Draft202012Validator.FORMAT_CHECKER
            )
        return self._validators[id(schema)]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{[^}]+\}", r"\\d+", path))


def load() -> Document | None:
    """Return the document, if it is on this machine."""
    return Document(json.loads(PATH.read_text())) if PATH.exists() else None


class Checks:
    """What was checked so far, by route."""

    def __init__(self, document: Document | None) -> None:
        self.document = document
        self.count = 0

    def check(self, response: requests.Response) -> None:
        """Fail the test whose request got an answer that does not fit."""
        url = urlsplit(str(response.request.url))
        if self.document is None or url.hostname != "127.0.0.1" or not url.path.startswith("/v1/"):
            return
        method, path = str(response.request.method), url.path.removeprefix("/v1")
        problems = self.document.problems(method, path, response.status_code, response.content)
        self.count += 1
        if problems:
            pytest.fail("\n".join([*problems, response.text[:2000]]))


@contextmanager
def checking(document: Document | None) -> Iterator[Checks]:
    """Check every answer that the official client, or anyone who uses requests, gets meanwhile."""
    checks, send = Checks(document), requests.Session.send

    def checked(
        session: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        response = send(session, request, **options)
        checks.check(response)
        return response

    requests.Session.send = checked  # type: ignore[method-assign, assignment]
    try:
        yield checks
    finally:
        requests.Session.send = send  # type: ignore[method-assign]
