"""The root file system every host starts from: built once, kept, shared read-only."""

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.hosts.errors import HostError

__all__ = ["RELEASES", "build_image", "image_path"]

RELEASES: Final = {"debian-12": "bookworm", "debian-13": "trixie"}
"""The cloud's image names and the Debian releases behind them."""

_PACKAGES: Final = (
    *("systemd", "systemd-sysv", "dbus", "kmod", "procps", "ca-certificates"),
    *("openssh-server", "cloud-init", "python3", "netcat-openbsd"),
    *("iproute2", "iputils-ping", "nftables", "wireguard-tools", "wireguard-go"),
)
# What a server in a data centre runs and a rehearsal does not need: background jobs and consoles.
_MASKED: Final = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"),
    *("e2scrub_reap.service", "fstrim.timer", "getty@.service", "console-getty.service"),
    *("systemd-resolved.service", "systemd-timesyncd.service", "systemd-network-generator.service"),
    "systemd-networkd-wait-online.service",
    # each holds one of the 128 inotify instances that all hosts have together, see lab.py
    *("systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-logind.service"),
)
# Only modules that cost time here and do nothing on such a host are left out.
_CLOUD_CONFIG: Final = {
    "datasource_list": ["NoCloud"],
    "network": {"config": "disabled"},
    "locale": False,
    "manage_etc_hosts": True,  # as Hetzner's vendor data has it
    "disable_root": False,
    "ssh_pwauth": False,
    "users": [],
    "cloud_init_modules": [
        *("seed_random", "bootcmd", "write_files", "set_hostname", "update_hostname", "update_etc_hosts"),
        *("ca_certs", "users_groups", "ssh"),
    ],
    "cloud_config_modules": ["set_passwords", "timezone", "runcmd"],
    "cloud_final_modules": [
        *("package_update_upgrade_install", "write_files_deferred", "scripts_per_once"),
        *("scripts_per_boot", "scripts_per_instance", "scripts_user", "phone_home", "final_message"),
        "power_state_change",
    ],
}


_STAGES_SOURCE: Final = Path(__file__).with_name("stages.py")
_STAGES: Final = "usr/lib/cloud-init/lab-stages"
_STAGE_UNITS: Final = {
    "local": "cloud-init-local",
    "network": "cloud-init",
    "config": "cloud-config",
    "final": "cloud-final",
}


def _recipe(release: str) -> str:
    """What the image is made from; another recipe gives another image."""
    steps = [inspect.getsource(step) for step in (_bootstrap, _configure, _start_cloud_init_once)]
    recipe = [release, _PACKAGES, _MASKED, _CLOUD_CONFIG, _STAGE_UNITS, _STAGES_SOURCE.read_text(), steps]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def image_path(folder: Path, image: str) -> Path:
    """Return where the image of this name is, or will be. Raises `HostError` for a name there is none of."""
    if image not in RELEASES:
        raise HostError(f"image {image!r} does not exist; the lab has {', '.join(RELEASES)}")
    release = RELEASES[image]
    return folder / f"{release}-{_recipe(release)}"


def build_image(folder: Path, image: str, say: Callable[[str], None]) -> Path:
    """Build an image unless it is there; `say` gets a line for every step.

    An interrupted build leaves nothing that looks like an image. Images of the same release made by
    older recipes are removed, but for those that hosts run from. Raises `HostError`.
    """
    target = image_path(folder, image)
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():  # else another process built it while we waited
            _remove_old(folder, RELEASES[image])
            _build(folder, image, target, say)
    return target


def _remove_old(folder: Path, release: str) -> None:
    for leftover in folder.glob(".building-*"):
        shutil.rmtree(leftover)
    for old in folder.glob(f"{release}-*"):
        descriptor = os.open(old, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
        except BlockingIOError:  # shared by the supervisors of running hosts
            continue
        finally:
            os.close(descriptor)


def _build(folder: Path, image: str, target: Path, say: Callable[[str], None]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise HostError("mmdebstrap is not installed; run tools/setup.sh lab")
    release = RELEASES[image]
    say(f"building the host image {image} ({release}), only once; this takes about a minute")
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as scratch:
        root = Path(scratch, "root")
        _bootstrap(release, root, say)
        say("configuring the image")
        _configure(root)
        root.chmod(0o755)
        root.rename(target)
    say(f"the host image is ready: {_size(target) >> 20} MB")


def _bootstrap(release: str, root: Path, say: Callable[[str], None]) -> None:
    command = [
        # What it mounts goes with it, also when it is killed: nobody clears a mounted /sys away later.
        *("unshare", "--mount", "--"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
        *('--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/doc/*"),
        *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
        *(release, str(root)),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    last: list[str] = []
    for line in process.stderr:
        last = [*last[-8:], line.rstrip()]
        if line.startswith("I: ") and not line.startswith("I: automatically"):
            say(line[3:].rstrip())
    if process.wait() != 0:
        raise HostError(f"mmdebstrap could not build {release}: " + "\n".join(last))


def _configure(root: Path) -> None:
    for key in root.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("localhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    # no probing for other clouds
    (root / "etc/cloud/ds-identify.cfg").write_text("policy: enabled\n")
    (root / "etc/cloud/cloud.cfg.d/90-lab.cfg").write_text(json.dumps(_CLOUD_CONFIG, indent=1) + "\n")
    units = root / "etc/systemd/system"
    _start_cloud_init_once(root, units)
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    # started by its socket when it is wanted, not at boot; one more inotify instance
    (root / "usr/lib/systemd/system/multi-user.target.wants/dbus.service").unlink(missing_ok=True)
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    link = wants / "systemd-networkd.service"
    if not link.is_symlink():
        link.symlink_to("/lib/systemd/system/systemd-networkd.service")
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "lab.conf").write_text("[Journal]\nStorage=persistent\nSystemMaxUse=32M\n")


def _start_cloud_init_once(root: Path, units: Path) -> None:
    """Run all stages of a cloud-init that would start four times from one start, as later ones do."""
    if (root / "lib/systemd/system/cloud-init-main.service").exists():
        return
    script = root / _STAGES
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_STAGES_SOURCE.read_text())
    for stage, unit in _STAGE_UNITS.items():
        folder = units / f"{unit}.service.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lab.conf").write_text(
            f"[Service]\nExecStart=\nExecStart=/usr/bin/python3 /{_STAGES} {stage}\nKillMode=process\n"
        )


def _size(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - hundred thousand Paths are slow
        for parent, _, names in os.walk(folder)
        for name in names
    )
