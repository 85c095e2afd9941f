#!/usr/bin/env python3
"""GitHub, as far as `gh api` shows it here: comments, issues, pull requests, branches: in $FAKE_GITHUB.

Every request is recorded. A request needs a permission of the job, as GitHub's REST API documents.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FILE = Path(os.environ["FAKE_GITHUB"])
# method, path, and the permissions of which one is enough
ROUTES = (
    ("GET", r"issues/(\d+)/comments", ("issues:read", "pull-requests:read"), "comments_of"),
    ("POST", r"issues/(\d+)/comments", ("issues:write", "pull-requests:write"), "add_comment"),
    ("PATCH", r"issues/comments/(\d+)", ("issues:write", "pull-requests:write"), "edit_comment"),
    ("GET", r"issues", ("issues:read",), "list_issues"),
    ("POST", r"issues", ("issues:write",), "add_issue"),
    ("PATCH", r"issues/(\d+)", ("issues:write",), "edit_issue"),
    ("GET", r"commits/(\w+)/pulls", ("pull-requests:read",), "pulls_of"),
    ("GET", r"pulls", ("pull-requests:read",), "list_pulls"),
    ("POST", r"pulls", ("pull-requests:write",), "add_pull"),
    ("GET", r"git/matching-refs/(.+)", ("contents:read",), "list_refs"),
    ("POST", r"git/refs", ("contents:write",), "add_ref"),
    ("DELETE", r"git/(refs/.+)", ("contents:write",), "delete_ref"),
    ("GET", r"contents/(.+)", ("contents:read",), "read_file"),
    ("PUT", r"contents/(.+)", ("contents:write",), "write_file"),
)
OF_THE_JOB = "token-of-the-job"
OF_A_ROBOT = "token-of-a-robot"
"""A token of its own account, with all rights that it needs."""


class GitHub:
    """The state, and what each route does to it."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = json.loads(FILE.read_text())

    def new(self, **fields: Any) -> dict[str, Any]:
        self.state["last"] += 1
        number = self.state["last"]
        address = f"https://github.example/{number}"
        return {
            "id": number,
            "user": {"type": "Bot", "login": "github-actions[bot]"},
            "html_url": address,
            **fields,
        }

    def comments_of(self, number: str, **_: Any) -> Any:
        return self.state["comments"].get(number, [])

    def add_comment(self, number: str, body: dict[str, Any], **_: Any) -> Any:
        made = self.new(**body)
        self.state["comments"].setdefault(number, []).append(made)
        return made

    def edit_comment(self, number: str, body: dict[str, Any], **_: Any) -> Any:
        everyone = [each for found in self.state["comments"].values() for each in found]
        (found,) = [each for each in everyone if str(each["id"]) == number]
        found.update(body)
        return found

    def list_issues(self, query: dict[str, list[str]], **_: Any) -> Any:
        wanted = set(query["labels"][0].split(","))
        return [
            each
            for each in self.state["issues"]
            if each["state"] == query["state"][0] and wanted <= {label["name"] for label in each["labels"]}
        ]

    def add_issue(self, body: dict[str, Any], **_: Any) -> Any:
        made = self.new(**body | {"labels": [{"name": name} for name in body["labels"]]}, state="open")
        made["number"] = made["id"]
        self.state["issues"].append(made)
        return made

    def edit_issue(self, number: str, body: dict[str, Any], **_: Any) -> Any:
        (found,) = [each for each in self.state["issues"] if str(each["number"]) == number]
        found.update(body)
        return found

    def pulls_of(self, commit: str, **_: Any) -> Any:
        return [each for each in self.state["pulls"] if each["merge_commit_sha"] == commit]

    def list_pulls(self, query: dict[str, list[str]], **_: Any) -> Any:
        (head,) = query.get("head", [None])
        return [
            each
            for each in self.state["pulls"]
            if each["state"] == query["state"][0]
            and head in (None, f"some:{each.get('head', {}).get('ref')}")
        ]

    def add_pull(self, body: dict[str, Any], **_: Any) -> Any:
        ref = f"refs/heads/{body['head']}"
        commits = [each for each in self.state["commits"] if each["branch"] == body["head"]]
        if ref not in self.state["refs"] or not commits:
            refuse(422, f"No commits between {body['base']} and {body['head']}")
        if self.list_pulls({"state": ["open"], "head": [f"some:{body['head']}"]}):
            refuse(422, f"A pull request already exists for some:{body['head']}.")
        made = self.new(**body | {"head": {"ref": body["head"]}, "base": {"ref": body["base"]}}, state="open")
        made["number"] = made["id"]
        self.state["pulls"].append(made)
        return made

    def list_refs(self, begin: str, **_: Any) -> Any:
        found = self.state["refs"].items()
        return [{"ref": ref, "object": {"sha": sha}} for ref, sha in found if ref.startswith(f"refs/{begin}")]

    def add_ref(self, body: dict[str, Any], **_: Any) -> Any:
        if body["ref"] in self.state["refs"]:
            refuse(422, "Reference already exists")
        self.state["refs"][body["ref"]] = body["sha"]
        return {"ref": body["ref"]}

    def delete_ref(self, ref: str, **_: Any) -> Any:
        del self.state["refs"][ref]
        branch = ref.removeprefix("refs/heads/")
        self.state["commits"] = [each for each in self.state["commits"] if each["branch"] != branch]
        return None

    def read_file(self, path: str, query: dict[str, list[str]], **_: Any) -> Any:
        return {"path": path, "sha": f"{path} of {query['ref'][0]}"}

    def write_file(self, path: str, body: dict[str, Any], **_: Any) -> Any:
        begin = self.state["refs"].get(f"refs/heads/{body['branch']}")
        if begin is None:
            refuse(404, f"Branch {body['branch']} not found")
        if body["sha"] != f"{path} of {begin}":
            refuse(409, f"{path} does not match {body['sha']}")
        self.state["commits"].append({"path": path, **body})
        return {"content": {"path": path}}


def refuse(status: int, message: str) -> None:
    print(json.dumps({"message": message}))
    print(f"gh: {message} (HTTP {status})", file=sys.stderr)
    raise SystemExit(1)


def allowed(granted: dict[str, str], enough: tuple[str, ...]) -> bool:
    pairs = [each.split(":") for each in enough]
    return any(granted.get(name) == "write" or granted.get(name) == level for name, level in pairs)


def main() -> None:
    words = sys.argv[1:]
    assert words[:2] == ["api", "--method"], words
    method, rest = words[2], [word for word in words[3:] if word != "--paginate"]
    address, more = rest[0], rest[1:]
    assert more in ([], ["--input", "-"]), words
    body = json.loads(sys.stdin.read()) if more else {}
    github = GitHub()
    github.state["requests"].append({"words": words, "body": body})
    FILE.write_text(json.dumps(github.state))
    token = os.environ.get("GH_TOKEN")
    if token not in {OF_THE_JOB, OF_A_ROBOT}:
        refuse(401, "Bad credentials")
    if len(body.get("body", "")) > 65_536:
        refuse(422, "body is too long (maximum is 65536 characters)")
    asked = urlsplit(address)
    for wanted, pattern, permissions, name in ROUTES:
        found = re.fullmatch(rf"repos/some/meshes/{pattern}", asked.path)
        if found and method == wanted:
            if token == OF_THE_JOB and not allowed(github.state["permissions"], permissions):
                refuse(403, "Resource not accessible by integration")
            answer = getattr(github, name)(*found.groups(), body=body, query=parse_qs(asked.query))
            FILE.write_text(json.dumps(github.state))
            print("" if answer is None else json.dumps(answer))
            return
    refuse(404, "Not Found")


if __name__ == "__main__":
    main()
