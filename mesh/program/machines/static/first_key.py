"""The SSH key of first contact: a secret of the stack's configuration, or the SSH agent of the operator."""

import os

import pulumi

from mesh.program.keys import ssh_public_line

__all__ = ["first_key", "trouble_with_agent", "trouble_with_key"]


def first_key(name: str) -> pulumi.Output[str]:
    """Return the key that the configuration has under this name, as a secret."""
    return pulumi.Output.secret(pulumi.Config().get(name) or "")


def trouble_with_key(name: str) -> str | None:
    """Say what is wrong with the secret of this name; None of a private key that can be used."""
    project = pulumi.get_project()
    value = pulumi.Config().get(name)
    store = f"`pulumi config set --secret {name} < FILE` stores the private key of a file"
    if not value:
        return f"the stack's configuration has no {project}:{name}; {store}"
    if not pulumi.runtime.is_config_secret(f"{project}:{name}"):
        return (
            f"{project}:{name} is plain text in the stack file, not a secret; "
            f"{store}; better make a new key for this"
        )
    try:
        ssh_public_line(value)
    except Exception:  # noqa: BLE001 - the library raises many kinds, and their words may repeat the key
        return (
            f"{project}:{name} (not shown here) is no private SSH key that can be read without a password; "
            f"{store}"
        )
    return None


def trouble_with_agent() -> str | None:
    """Say why there is no SSH agent to ask; None where one is named."""
    if os.environ.get("SSH_AUTH_SOCK"):
        return None
    return (
        "first contact needs your SSH agent, but SSH_AUTH_SOCK is not set. Start an agent and add the key "
        "(`eval $(ssh-agent)`, `ssh-add`), or store a key in the configuration and name it (firstKey)"
    )
