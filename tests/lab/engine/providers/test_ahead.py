"""What is imported while a program starts: what it is going to use, and nothing else."""

import subprocess
import sys

import pytest

from lab.testing import REPOSITORY

SERVER, COMMAND, OTHER = "hcloud:index/server:Server", "command:remote:Command", "pulumi:pulumi:Stack"
LOADED = """
import sys, threading
from lab.engine.providers import load_ahead
load_ahead({types}, works={works})
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
print(*sorted({{"asyncssh", "hcloud"}} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("types", "works", "loaded"),
    [
        ([], True, ""),
        ([OTHER], True, ""),
        ([OTHER, SERVER], False, "hcloud"),
        ([OTHER, SERVER, COMMAND], True, "hcloud"),
        pytest.param([OTHER, SERVER], True, "asyncssh hcloud", id="servers that nobody has dialled"),
    ],
)
def test_providers_of_the_state_and_what_a_new_package_needs(
    types: list[str],
    works: bool,  # noqa: FBT001 - a parameter of the test
    loaded: str,
) -> None:
    code = LOADED.format(types=types, works=works)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == loaded
