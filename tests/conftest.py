import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# Programs of tests change within a second, which Python's bytecode does not notice.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# As people have it: what a command prints to a pipe may wait.
os.environ.pop("PYTHONUNBUFFERED", None)

# How long an example takes depends on what else the machine does: there is no deadline.
settings.register_profile("few", deadline=None, max_examples=10)
settings.register_profile("short", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=1000)
# For `make mutants`: every mutant meets the same few examples, and a slow machine kills none.
settings.register_profile(
    "mutants",
    deadline=None,
    max_examples=10,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("short")

# Of the files without hosts, the part among which those of tests/host come. The rest fills the end evenly.
_BEFORE_THE_END = 0.8


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with hosts first: they take minutes, and short ones fill the end evenly.

    Those of tests/host often wait: they come among files without hosts, so that both cores have work. Once a
    worker has run tests there, it keeps their hosts, so they do not come before the other files with hosts.
    """
    tests = Path(__file__).parent
    with_hosts = {item.path for item in items if item.get_closest_marker("hosts")}
    waiting: dict[Path, int] = {}
    short: dict[Path, int] = {}
    order: dict[Path, float] = {}
    for path in dict.fromkeys(item.path for item in items):
        if path not in with_hosts:
            short[path] = len(short)
        elif tests / "host" in path.parents:
            waiting[path] = len(waiting)
        else:
            order[path] = -1 if tests / "system" in path.parents else 0
    order |= {path: 1 + number / len(short) for path, number in short.items()}
    order |= {path: 1 + _BEFORE_THE_END * number / len(waiting) for path, number in waiting.items()}
    items.sort(key=lambda item: order[item.path])
