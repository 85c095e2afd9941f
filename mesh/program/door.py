"""From raw settings to all that a mesh is declared from: every check that comes before the first step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from mesh.names import FIRST_MESH, MeshNames
from mesh.outputs import program_record
from mesh.plan import MeshPlan, PlanError, plan_mesh
from mesh.program.ahead import look_ahead
from mesh.program.machines import PROVIDERS, Provider, kinds_of
from mesh.program.previous import Previous, read_previous
from mesh.settings import SettingsError, parse_settings, warnings_of

__all__ = ["Checked", "check_settings", "mark_stack", "try_settings"]

_MARK: Final = "wireguard_mesh"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Settings that can be brought about: the plan, the state before, and what each node is told to lose."""

    plan: MeshPlan
    previous: Previous
    told: Mapping[str, str]


def check_settings(
    raw: object, *, mesh: str = FIRST_MESH, providers: Mapping[str, Provider] = PROVIDERS
) -> Checked:
    """Check settings, spelled as in the stack file, against the rules, the state and the providers.

    `mesh` is the name of the mesh. What is unusual is told as a warning. Raises `pulumi.RunError` with every
    mistake, before any change.
    """
    try:
        return try_settings(raw, mesh=mesh, providers=providers)
    except (SettingsError, PlanError) as error:
        raise pulumi.RunError(MeshNames(mesh).said(str(error))) from None


def try_settings(
    raw: Any, *, mesh: str = FIRST_MESH, providers: Mapping[str, Provider] = PROVIDERS
) -> Checked:
    """Do the same. Raises `SettingsError` and `PlanError`, too, with the place of each mistake."""
    try:
        names = MeshNames(mesh)
    except ValueError as error:
        raise pulumi.RunError(str(error)) from None
    settings = parse_settings(raw, stack=pulumi.get_stack(), mesh=mesh, kinds=kinds_of(providers))
    plan = plan_mesh(settings)
    previous = read_previous()
    told = look_ahead(plan, raw, previous, mesh=mesh, providers=providers)
    for warning in warnings_of(settings):
        pulumi.log.warn(names.said(str(warning)))
    return Checked(plan=plan, previous=previous, told=told)


def mark_stack() -> None:
    """Give the stack an output with this program's version.

    The engine says what a stack had only if the stack has an output: see `read_previous`. A component that
    runs for a program in another language has no stack here; that program exports something itself.
    """
    if pulumi.runtime.get_root_resource() is not None:
        pulumi.export(_MARK, program_record())
