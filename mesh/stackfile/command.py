"""`mesh validate` and `mesh schema`: stack files, without engine, token or state."""

from pathlib import Path
from typing import Annotated

import typer

from mesh.stackfile.names import DEFAULT_PROJECT

__all__ = ["schema_command", "validate_command"]


def validate_command(
    files: Annotated[list[Path], typer.Argument(help="Stack files, such as stacks/Pulumi.prod.yaml.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Check stack files without engine, token or state; exit code 0 only if all are valid."""
    # Pulumi's SDK comes with the providers, and takes longer to start than the other commands
    from mesh.program import KINDS  # noqa: PLC0415
    from mesh.stackfile.check import check_file  # noqa: PLC0415
    from mesh.stackfile.report import as_json as reports_as_json  # noqa: PLC0415
    from mesh.stackfile.report import lines  # noqa: PLC0415

    reports = [check_file(path, KINDS) for path in files]
    if as_json:
        print(reports_as_json(reports))
    else:
        for report in reports:
            print("\n".join(lines(report)))
    if not all(report.valid for report in reports):
        raise typer.Exit(1)


def schema_command(
    *,
    project: Annotated[str, typer.Option(help="The name in Pulumi.yaml.")] = DEFAULT_PROJECT,
) -> None:
    """Print the JSON schema of the stack file, for editors and other checkers."""
    from mesh.program import KINDS  # noqa: PLC0415 - as above
    from mesh.stackfile.schema import schema_text  # noqa: PLC0415

    print(schema_text(KINDS, project), end="")
