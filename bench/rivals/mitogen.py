"""The same playbook with Mitogen's strategy: one Python process per host for the whole run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.environment import environment
from bench.fleet import Fleet
from bench.operators import Operator
from bench.rivals.inventory import SOURCE
from bench.rivals.playbook import Playbook, ssh_options
from bench.rivals.rival import Rival
from bench.trouble import BenchError

__all__ = ["RIVAL"]

_PLUGINS: Final = "lib/python*/site-packages/ansible_mitogen/plugins/strategy"


@contextmanager
def _prepared(fleet: Fleet, operator: Operator) -> Iterator[Playbook]:
    folder = fleet.folder / "playbook"
    shutil.copytree(SOURCE, folder)
    plugins = next(environment().parent.glob(_PLUGINS), None)
    if plugins is None:
        raise BenchError(f"{environment().parent} has no {_PLUGINS}")
    options = {
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(plugins),
        "ANSIBLE_SSH_ARGS": ssh_options(folder),
    }
    yield Playbook(folder, fleet, operator, options)


RIVAL: Final = Rival(name="mitogen", title="playbook with Mitogen", of=_prepared)
