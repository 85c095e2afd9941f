"""Packages for hosts, which reach no mirror: downloaded by this machine, kept, given to a host as a source.

What is wanted comes with everything it depends on, so that a host can install it whatever it has.
"""

import fcntl
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lab.hosts.errors import HostError
from lab.hosts.image import RELEASES
from lab.hosts.lab import Lab

__all__ = ["build_repository", "offer"]

_DOWNLOAD_SECONDS: Final = 600
_ON_HOST: Final = "/srv/packages"
# The mirrors of the release are put away: no host reaches them, and asking them takes its time.
_OFFER: Final = f"""
set -e
rm -rf {_ON_HOST}
mkdir -p {_ON_HOST}
tar -x -C {_ON_HOST}
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    case $list in
        *.away | */lab.list) ;;
        *) [ ! -e "$list" ] || mv "$list" "$list.away" ;;
    esac
done
echo 'deb [trusted=yes] file:{_ON_HOST} ./' >/etc/apt/sources.list.d/lab.list
"""


def build_repository(
    folder: Path, root: Path, image: str, packages: Sequence[str], say: Callable[[str], None]
) -> Path:
    """Return the folder with these packages and all they depend on, downloaded unless it is there.

    `image` names the host image and `root` is where it lies: its sources and keys are used, by this machine's
    ordinary apt. An interrupted download leaves nothing that looks like a repository. Raises `HostError`.
    """
    release = RELEASES[image]
    wanted = sorted(packages)
    target = folder / f"{release}-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():  # else another process downloaded it while we waited
            say(f"downloading {', '.join(wanted)} of {release}, with all their dependencies")
            with tempfile.TemporaryDirectory(prefix=".downloading-", dir=folder) as scratch:
                archives = _download(Path(scratch), root, wanted)
                (archives / "Packages").write_text("\n".join(map(_entry, sorted(archives.glob("*.deb")))))
                archives.rename(target)
    return target


def offer(lab: Lab, key: str, repository: Path) -> None:
    """Give a running host these packages, as its only source. Raises `HostError`."""
    with subprocess.Popen(["tar", "-C", str(repository), "-c", "."], stdout=subprocess.PIPE) as packing:
        done = subprocess.run(
            lab.enter(key, ["sh", "-c", _OFFER]),
            stdin=packing.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise HostError(f"host {key} did not accept the packages: {done.stderr.strip()}")


def _download(scratch: Path, root: Path, packages: Sequence[str]) -> Path:
    """Have apt fetch packages as for a system that has none."""
    archives = scratch / "cache/archives"
    for place in (archives / "partial", scratch / "state/lists/partial"):
        place.mkdir(parents=True)
    (scratch / "status").touch()
    options = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": root / "etc/apt/sources.list",
        "Dir::Etc::sourceparts": root / "etc/apt/sources.list.d",
        "Dir::Etc::trustedparts": root / "etc/apt/trusted.gpg.d",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    for words in (["update"], ["install", "--download-only", "--yes", *packages]):
        done = subprocess.run(
            [*apt, *words], capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
        if done.returncode != 0:
            raise HostError(f"apt-get {words[0]} failed: {done.stderr.strip()[-400:]}")
    (archives / "partial").rmdir()
    (archives / "lock").unlink()
    for package in archives.glob("*%3a*"):  # an epoch, which a path of a source shall not have
        package.rename(package.with_name(package.name.replace("%3a", ".")))
    return archives


def _entry(package: Path) -> str:
    """Return a package's paragraph in the index, in the format of Debian repositories."""
    control = subprocess.run(
        ["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True
    ).stdout.rstrip("\n")
    content = package.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{control}\nFilename: ./{package.name}\nSize: {len(content)}\nSHA256: {digest}\n"
