"""What tools/setup.sh installs, for who cannot try it on every distribution."""

import re
from pathlib import Path

SETUP = (Path(__file__).parents[2] / "tools" / "setup.sh").read_text()


def test_the_keys_of_debian_are_installed_which_ubuntu_lacks() -> None:
    packages = re.search(r'^packages="([^"]+)"', SETUP, re.MULTILINE)
    assert packages is not None
    assert "debian-archive-keyring" in packages[1].split(), "mmdebstrap cannot tell whose packages it gets"
