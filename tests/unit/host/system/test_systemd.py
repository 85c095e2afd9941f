from pathlib import Path

import pytest

from mesh.host.system.systemd import _goes_by

UNIT = Path("/run/systemd/system/wgmesh-guard.service")
DROPIN = Path("/run/systemd/system/wg-quick@wg0.service.d/10-wgmesh.conf")


@pytest.mark.parametrize(
    ("path", "fragment", "dropins", "stale", "known"),
    [
        (UNIT, UNIT, "", "no", True),
        (UNIT, UNIT, "", "yes", False),
        (UNIT, "/etc/systemd/system/wgmesh-guard.service", "", "no", False),
        (UNIT, "", "", "no", False),
        (DROPIN, "/lib/systemd/system/wg-quick@.service", f"/etc/a.conf {DROPIN}", "no", True),
        (DROPIN, "/lib/systemd/system/wg-quick@.service", f"{DROPIN}", "yes", False),
        (DROPIN, "/lib/systemd/system/wg-quick@.service", "", "no", False),
    ],
)
def test_systemd_goes_by_a_file_that_it_has_read_as_it_is(
    path: Path, fragment: object, dropins: str, stale: str, *, known: bool
) -> None:
    block = f"LoadState=loaded\nFragmentPath={fragment}\nDropInPaths={dropins}\nNeedDaemonReload={stale}"
    assert _goes_by(path, block) is known


def test_a_drop_in_of_a_unit_that_is_not_installed_has_nothing_to_say() -> None:
    block = "LoadState=not-found\nFragmentPath=\nDropInPaths=\nNeedDaemonReload=no"
    assert _goes_by(DROPIN, block)
    assert not _goes_by(UNIT, block)
