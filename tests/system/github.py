"""The project as a checkout on GitHub's runner, beside a cloud and hosts that are not there."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lab.testing import REPOSITORY
from tests.github.workflow import GitHub
from tests.system.simulated import TOKEN, Simulated

__all__ = ["ENGINE", "PASSPHRASE", "checkout", "engine", "hosted", "plaintexts", "write_stack"]

ENGINE: Final = ".venv/bin/python -m lab.engine"
PASSPHRASE: Final = "correct-horse-battery-staple"
_SHORT: Final = 12
"""No secret of a stack is as short; a document of keys also has short words."""
_LINKED: Final = ("mesh", "lab", "tools", "requirements", ".venv")


def checkout(folder: Path) -> Path:
    """Make a checkout of this project, and beside it room for the state."""
    (folder / "checkout" / "stacks").mkdir(parents=True)
    (folder / "state").mkdir()
    made = folder / "checkout"
    for name in _LINKED:
        (made / name).symlink_to(REPOSITORY / name)
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(REPOSITORY / name, made / name)
    shutil.copy(REPOSITORY / "stacks" / "Pulumi.pr.example.yaml", made / "stacks")
    return made


def write_stack(checkout: Path, stack: str, mesh: Mapping[str, Any]) -> None:
    """Write a stack's file; the salt of its secrets stays."""
    path = checkout / "stacks" / f"Pulumi.{stack}.yaml"
    document = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump({**document, "config": {"wireguard-mesh:mesh": dict(mesh)}}))


def hosted(cloud: Simulated, checkout: Path, variables: Mapping[str, str], *environments: str) -> GitHub:
    """Return the repository on GitHub; all these environments have the same secrets."""

    def execute(words: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["nsenter", f"--net=/proc/{cloud.process}/ns/net", "--", *words],
            cwd=checkout, env=environment, check=False, timeout=300, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    secrets = {
        "PULUMI_BACKEND_URL": f"file://{checkout.parent}/state",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "HCLOUD_TOKEN": TOKEN,
    }
    return GitHub(
        temp=checkout.parent / "github",
        execute=execute,
        variables=variables,
        secrets=dict.fromkeys(environments, secrets),
        everywhere={"WGMESH_PULUMI": ENGINE, "HCLOUD_ENDPOINT": cloud.endpoint, "SSH_AUTH_SOCK": ""},
    )


def engine(github: GitHub, *words: str) -> str:
    """Run the engine by hand, as its operator does; returns what it printed."""
    secrets = next(iter(github.secrets.values()))
    ran = github.execute(
        [*ENGINE.split(), *words], {"PATH": os.environ["PATH"], **github.everywhere, **secrets}
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def plaintexts(github: GitHub, stack: str) -> list[str]:
    """Return every secret value of the state, in plain. The public halves of keys in there are none."""
    exported = json.loads(engine(github, "stack", "export", "--show-secrets", "--stack", stack))
    public = engine(github, "stack", "output", "--json", "--stack", stack)
    found = {text for text in _secrets_in(exported) if len(text) > _SHORT}
    return sorted(text for text in found if text not in public and not text.startswith("ssh-ed25519 "))


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "plaintext" in value:
        yield from _texts(json.loads(value["plaintext"]))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _secrets_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _secrets_in(each)


def _texts(value: Any) -> Iterator[str]:
    """Return the texts of a secret; one that is a document has its own."""
    if isinstance(value, str):
        yield value
        try:
            inside = json.loads(value)
        except ValueError:
            return
        if isinstance(inside, dict | list):
            yield from _texts(inside)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
