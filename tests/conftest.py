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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with hosts first: they take minutes and often wait, and short ones fill the end evenly.

    Those of tests/host come late: once a worker has run tests there, it keeps their hosts.
    """
    with_hosts = {item.path for item in items if item.get_closest_marker("hosts")}
    folders = Path(__file__).parent
    order = {folders / "system": 0, folders / "lab": 1, folders / "bench": 1, folders / "host": 2}

    def place(item: pytest.Item) -> tuple[bool, int]:
        return item.path not in with_hosts, min(order.get(folder, 3) for folder in item.path.parents)

    items.sort(key=place)
