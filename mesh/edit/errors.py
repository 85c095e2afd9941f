"""Why a stack file is not edited."""

from mesh.cli.engine import CliError

__all__ = ["EditError"]


class EditError(CliError):
    """The file stays as it is; the message says where, what was found and what to do."""
