"""One stack file, from its bytes to the plan: every mistake with its line, by the same checks as `up`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mesh.plan import PlanError, plan_mesh
from mesh.settings import Problem, Settings, SettingsError, parse_settings, warnings_of
from mesh.settings.machines import MachineKind
from mesh.settings.problems import path_text, show
from mesh.settings.remedies import proven
from mesh.stackfile.document import Found, MeshPart, around_the_mesh, mesh_part, passed_over
from mesh.stackfile.project import project_of, stack_of
from mesh.stackfile.syntax import Mark, NotYamlError
from mesh.stackfile.tree import Node, read_yaml

__all__ = ["Report", "check_file"]

_WHERE: Final = "mesh"
_START: Final = Mark(1, 1)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one file comes to: mistakes and warnings in the order of the file, and the mesh if it is right."""

    file: str
    problems: tuple[Found, ...] = ()
    warnings: tuple[Found, ...] = ()
    settings: Settings | None = None

    @property
    def valid(self) -> bool:
        """Whether `up` would begin with this file, as far as the file alone can tell."""
        return not self.problems


def check_file(path: Path, kinds: Mapping[str, MachineKind]) -> Report:
    """Check a stack file; `kinds` are the providers that nodes may be at."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return _refused(path, f"cannot be read: {error.strerror}; name files, such as stacks/Pulumi.*.yaml")
    except UnicodeDecodeError as error:
        return _refused(path, f"byte {error.start} is not UTF-8; save the file as UTF-8")
    try:
        root = read_yaml(text)
    except NotYamlError as mistake:
        unread = Found(mark=mistake.mark, path="the file", message=mistake.message)
        return Report(file=str(path), problems=(unread,))
    project = project_of(path)
    problems = [*around_the_mesh(root, project)]
    warnings = [*passed_over(root)] if root.get("config") is not None else []
    part = mesh_part(root, project)
    settings = None
    if part is not None:
        problems += _duplicates(part)
        settings, found = _mesh_problems(part, stack_of(path), kinds)
        problems += found
        warnings += _octals(part)
        if settings is not None:
            warnings += [_placed(part, problem) for problem in warnings_of(settings, where=_WHERE)]
    return Report(
        file=str(path),
        problems=_sorted(problems),
        warnings=_sorted(warnings),
        settings=None if problems else settings,
    )


def _refused(path: Path, message: str) -> Report:
    return Report(file=str(path), problems=(Found(mark=_START, path="the file", message=message),))


def _sorted(found: list[Found]) -> tuple[Found, ...]:
    return tuple(sorted(found, key=lambda each: each.mark))


def _mesh_problems(
    part: MeshPart, stack: str | None, kinds: Mapping[str, MachineKind]
) -> tuple[Settings | None, list[Found]]:
    if isinstance(part.raw, dict) and set(part.raw) == {"secure"}:
        message = (
            "is encrypted, so it cannot be checked here; no part of a mesh is a secret: write plain text"
        )
        return None, [Found(mark=part.node.mark, path=_WHERE, message=message)]

    def check(raw: Any) -> tuple[Problem, ...]:
        try:
            parse_settings(raw, where=_WHERE, stack=stack, kinds=kinds)
        except SettingsError as error:
            return error.problems
        return ()

    found = check(part.raw)
    if found:
        return None, [_placed(part, problem) for problem in proven(part.raw, found, check)]
    settings = parse_settings(part.raw, where=_WHERE, stack=stack, kinds=kinds)
    try:
        plan_mesh(settings)
    except (PlanError, SettingsError) as error:
        return settings, [_placed(part, problem) for problem in error.problems]
    return settings, []


def _placed(part: MeshPart, problem: Problem) -> Found:
    return Found(
        mark=_mark(part, problem), path=problem.path, message=problem.message, instead=problem.instead
    )


def _mark(part: MeshPart, problem: Problem) -> Mark:
    """Return where a mistake is: at the value, or at its key if the key is wrong or the value is a block."""
    key: Node = part.key
    node: Node = part.node
    wrong_key = problem.message.startswith("is ") or any(one.kind == "key" for one in problem.instead)
    for step in problem.place or ():
        if isinstance(step, int):
            if step >= len(node.items):
                break
            key = node = node.items[step]
            continue
        next_key, inner = node.key(step), node.get(step)
        if next_key is None or inner is None:
            return key.mark  # what is missing: its owner
        key, node = next_key, inner
    value = node.kind == "scalar" and node.scalar is not None
    return node.mark if value and not wrong_key else key.mark


def _duplicates(part: MeshPart) -> Iterator[Found]:
    """Yield the keys that are given twice: Pulumi refuses the file for the first of them."""
    for path, node in part.node.below():
        for name, key, _ in node.again:
            first = node.key(name)
            line = "" if first is None else f" (the first time in line {first.mark.line})"
            message = f"is given twice{line}; remove one of the two, or rename one"
            yield Found(mark=key.mark, path=path_text(_WHERE, (*path, name)), message=message)


def _octals(part: MeshPart) -> Iterator[Found]:
    for path, node in part.node.below():
        if node.is_octal:
            message = f"is read as an octal number, {show(node.scalar)}; write it without the zero in front"
            yield Found(mark=node.mark, path=path_text(_WHERE, path), message=message)
