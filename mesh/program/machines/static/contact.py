"""How a server that is there already is met, and how the mesh leaves it again: the commands."""

from pathlib import Path
from typing import Final

from mesh.program.first_contact import bare, between, packed
from mesh.remote import BOOTSTRAP_SECONDS, CALL_SECONDS, limited

__all__ = ["PART", "meeting"]

_HERE: Final = Path(__file__).parent
_MEET: Final = bare((_HERE / "meet.sh").read_text())
_MET: Final = bare((_HERE / "met.sh").read_text())
_AROUND_SECONDS: Final = 60  # what comes after the agent's own time

PART: Final = limited(bare((_HERE / "part.sh").read_text()), CALL_SECONDS + _AROUND_SECONDS)
"""Shell command, run as root, that takes the mesh off a server."""

_ROOT: Final = "root"
# sudo drops the variable that says on which port sshd was reached.
_SUDO: Final = 'exec sudo -n env "SSH_CONNECTION=$SSH_CONNECTION" '


def meeting(user: str, *, networks: str, management_key: str, host_key: str) -> str:
    """Return the shell command of first contact: `user` needs sudo without a password, unless it is root.

    `networks` are those of the mesh, with spaces between. The keys are public: the one that opens the node
    from then on, and the SSH host key that the server gets.
    """
    values = f'networks="{networks}" management_key="{management_key}" host_key="{host_key}"'
    command = limited(f"export {values}; {packed(between(_MEET, _MET))}", BOOTSTRAP_SECONDS)
    return command if user == _ROOT else f"{_SUDO}{command.removeprefix('exec ')}"
