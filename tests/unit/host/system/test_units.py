from mesh.host.places import Places
from mesh.host.system.units import BOOT_UNIT, unit_files
from mesh.host.tunnel import WG0


def test_the_block_in_the_host_table_comes_after_cloud_init_by_either_name() -> None:
    """cloud-init.service is called cloud-init-network.service since 24.3."""
    text = unit_files(Places(), WG0, python="/usr/bin/python3", nft="/usr/sbin/nft")[BOOT_UNIT]
    after = {unit for line in text.splitlines() if line.startswith("After=") for unit in line[6:].split()}
    assert {"cloud-init.service", "cloud-init-network.service"} <= after
