"""Which unit tests `make check` leaves to `make test`: half of the time of all of them."""

from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
# By file, or by file and test: lives of many runs, enumerations of hundreds of cases, starts of processes.
THOROUGH: Final = frozenset((
    "ci/test_nightly.py",
    "cli/test_client.py",
    "cli/test_outputs.py::test_a_command_takes_the_name_of_a_mesh",
    "cli/test_settle.py",
    "host/files/test_effective.py::test_a_thousand_interfaces_are_no_thousand_lines",
    "host/rotation/test_simulation.py::test_whatever_fails_packets_are_read_and_the_rotation_ends",
    "host/rotation/test_simulation.py::test_who_is_killed_at_any_step_goes_on",
    "program/machines/hetzner/test_groups.py::test_a_spread_group_never_holds_more_than_the_cloud_allows",
    "program/test_dates.py",
    "program/test_doors.py",
    "program/test_renamed.py",
    "program/test_renumbering.py",
    "program/test_renumbering_model.py",
    "program/test_rollout.py",
    "program/test_rotation.py",
    "program/test_settling.py",
    "render/test_document.py::test_the_same_mesh_gives_the_same_bytes_in_every_run",
    "settings/test_remedies.py",
    "stackfile/test_schema.py",
    "stackfile/test_wrong_files.py",
))  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests."""
    for item in items:
        if _HERE in item.path.parents:
            file = str(item.path.relative_to(_HERE))
            if {file, f"{file}::{getattr(item, 'originalname', item.name)}"} & THOROUGH:
                item.add_marker("thorough")
