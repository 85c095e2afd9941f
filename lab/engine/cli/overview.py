"""What `stack` prints: a stack's resources as a tree, with URNs and ids when asked for (stack.go)."""

import platform
from collections.abc import Iterator, Mapping
from typing import Any

from lab.engine.cli.context import Stack
from lab.engine.cli.outputs import outputs, print_table
from lab.engine.state.model import STACK_TYPE, urn_name

__all__ = ["print_overview"]

_PREFIX = "    "
Record = Mapping[str, Any]


def print_overview(stack: Stack, *, urns: bool, ids: bool, show_secrets: bool) -> None:
    """Print what a stack has; only secrets that are shown are decrypted."""
    deployment = stack.deployment()
    records = deployment.get("resources") or []
    print(f"Current stack is {stack.name}:")
    print(f"{_PREFIX}Managed by {platform.node()}")
    manifest = deployment.get("manifest")
    if manifest:
        print(f"{_PREFIX}Last updated: {manifest['time']}")
        print(f"{_PREFIX}Pulumi version used: {manifest['version']}")
    else:
        print(f"{_PREFIX}No updates yet; run `pulumi up`")
    print(f"Current stack resources ({len(records)}):")
    if not records:
        print(f"{_PREFIX}No resources currently in this stack")
    else:
        _print_tree(records, urns=urns, ids=ids)
        print()
        print_table(outputs(stack, show_secrets=show_secrets))
    print("\nUse `pulumi stack select` to change stack; `pulumi stack ls` lists known ones")


def _print_tree(records: list[Record], *, urns: bool, ids: bool) -> None:
    children: dict[str, dict[str, Record]] = {}
    roots = [record["urn"] for record in records if record["type"] == STACK_TYPE]
    top = roots[0] if roots else ""
    for record in records:
        if record["urn"] != top:
            children.setdefault(record.get("parent") or top, {})[record["urn"]] = record
    # what has no parent stands below the others (the providers)
    below = children.get(top, {})
    children[top] = dict(sorted(below.items(), key=lambda item: not item[1].get("parent")))
    if top:
        children[""] = {record["urn"]: record for record in records if record["urn"] == top}
    rows = [row for record in children.get("", {}).values() for row in _rows(record, children, "", "")]
    width = max(len("TYPE"), *(len(branch + record["type"]) for branch, _, record in rows))
    print(f"{_PREFIX}{'TYPE'.ljust(width)}  NAME")
    for branch, below_it, record in rows:
        print(f"{_PREFIX}{(branch + record['type']).ljust(width)}  {urn_name(record['urn'])}")
        if urns:
            print(f"{_PREFIX}{below_it}URN: {record['urn']}")
        if ids and record.get("id"):
            print(f"{_PREFIX}{below_it}ID: {record['id']}")


def _rows(
    record: Record, children: Mapping[str, Mapping[str, Record]], padding: str, branch: str
) -> Iterator[tuple[str, str, Record]]:
    """Yield for a resource and all inside it: its branch, what stands before more of it, and its record."""
    inside = padding + {"├─ ": "│  ", "└─ ": "   "}.get(branch, "")
    own = [*children.get(record["urn"], {}).values()]
    yield padding + branch, inside + ("│  " if own else "   "), record
    for child in own:
        yield from _rows(child, children, inside, "└─ " if child is own[-1] else "├─ ")
