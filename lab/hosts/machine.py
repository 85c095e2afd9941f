"""One host: its folder, its disk, what cloud-init will read, and what runs of it."""

import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any, Final

from lab.hosts.errors import HostError
from lab.hosts.nat import Nat
from lab.hosts.private import Interface
from lab.hosts.router import GATEWAY, GATEWAY6, Rule

__all__ = ["HostSpec", "Machine"]

_KEY_LENGTH: Final = 8  # `h<key>` is the name of a link, 15 characters at most


@dataclass(frozen=True, kw_only=True)
class HostSpec:
    """What a host is made from.

    `key` names it in this lab (letters and digits, at most 8), `hostname` is its first host name,
    `address` its public IPv4 address or None, `network6` its public IPv6 network (a /64) or None, `image`
    the cloud's name of the image.
    """

    key: str
    hostname: str
    address: str | None
    user_data: str
    public_keys: Sequence[str]
    instance_id: str
    image: str = "debian-12"
    network6: str | None = None


class Machine:
    """The folder of one host under the lab's state; knows files, starts nothing."""

    def __init__(self, folder: Path, key: str) -> None:
        if not (key.isascii() and key.isalnum()) or len(key) > _KEY_LENGTH:
            raise HostError(f"host key {key!r}: use at most {_KEY_LENGTH} letters and digits")
        self.key = key
        self.folder = folder / key
        self.link = f"h{key}"
        """The host's link in the router."""

    @property
    def exists(self) -> bool:
        """Whether the host was made completely."""
        return (self.folder / "spec.json").exists()

    @property
    def disk(self) -> Path:
        """What the host has written over its image."""
        return self.folder / "disk"

    @property
    def work(self) -> Path:
        """Overlayfs's own folder."""
        return self.folder / "work"

    @property
    def root(self) -> Path:
        """Where the root file system is mounted, in the host's own mount namespace only."""
        return self.folder / "root"

    @property
    def running(self) -> Path:
        """Present while a supervisor runs: its pid and start time, and the host's first process."""
        return self.folder / "running.json"

    @property
    def log(self) -> Path:
        """The console."""
        return self.folder / "console.log"

    def spec(self) -> dict[str, Any]:
        """Return the host's specification as it was written."""
        try:
            value: dict[str, Any] = json.loads((self.folder / "spec.json").read_text())
        except FileNotFoundError:
            raise HostError(f"host {self.key!r} does not exist") from None
        return value

    def rules(self) -> list[Rule] | None:
        """Return the cloud firewall's rules; None when there is no firewall."""
        try:
            rules = json.loads((self.folder / "firewall.json").read_text())
        except FileNotFoundError:
            return None
        return [Rule(**{**rule, "networks": tuple(rule["networks"])}) for rule in rules]

    def set_rules(self, rules: Sequence[Rule] | None) -> None:
        """Remember the cloud firewall's rules."""
        path = self.folder / "firewall.json"
        if rules is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, json.dumps([asdict(rule) for rule in rules]))

    def link_size(self) -> int | None:
        """Return the bytes that the host's link carries, where somebody has set this."""
        path = self.folder / "link-size"
        return int(path.read_text()) if path.exists() else None

    def set_link_size(self, size: int) -> None:
        """Remember the bytes that the host's link carries."""
        _write(self.folder / "link-size", str(size))

    def nat(self) -> Nat | None:
        """Return the NAT before the host; None when there is none."""
        try:
            return Nat(**json.loads((self.folder / "nat.json").read_text()))
        except FileNotFoundError:
            return None

    def set_nat(self, nat: Nat | None) -> None:
        """Remember the NAT before the host."""
        path = self.folder / "nat.json"
        if nat is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, json.dumps(asdict(nat)))

    def create(self, spec: HostSpec) -> None:
        """Write disk and seed. The specification comes last: with it the host exists."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for folder in (self.disk, self.work, self.root):
            folder.mkdir(parents=True)
        self.folder.chmod(0o700)
        self.disk.chmod(0o755)
        etc = self.disk / "etc"
        etc.mkdir()
        _write(etc / "machine-id", secrets.token_hex(16) + "\n")
        _write(etc / "hostname", spec.hostname + "\n")
        _write(
            etc / "hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
        )  # cloud-init adds the name
        self._write_seed(spec)
        self.set_addresses(spec.address, spec.network6)
        _write(self.folder / "spec.json", json.dumps(asdict(spec)))

    def _write_seed(self, spec: HostSpec) -> None:
        seed = self.disk / "var/lib/cloud/seed/nocloud"
        seed.mkdir(parents=True)
        for folder in (self.disk / "var", self.disk / "var/lib", self.disk / "var/lib/cloud"):
            folder.chmod(0o755)
        metadata = {
            "instance-id": spec.instance_id,
            "local-hostname": spec.hostname,
            "public-keys": list(spec.public_keys),
        }
        _write(seed / "meta-data", json.dumps(metadata, indent=1) + "\n", mode=0o600)
        _write(seed / "user-data", spec.user_data or "#cloud-config\n{}\n", mode=0o600)

    def set_addresses(self, address: str | None, network6: str | None) -> None:
        """Tell networkd the public addresses; they count from the next boot."""
        local = "no" if network6 is None else "ipv6"
        lines = ["[Match]", "Name=eth0", "[Network]", f"LinkLocalAddressing={local}", "IPv6AcceptRA=no"]
        if address is not None:
            lines.append(f"Address={address}/32")
        if network6 is not None:
            lines.append(f"Address={IPv6Network(network6)[1]}/64")
        for gateway, there in ((GATEWAY, address), (GATEWAY6, network6)):
            if there is not None:
                lines += ["[Route]", f"Gateway={gateway}", "GatewayOnLink=yes"]
        self._networkd.mkdir(parents=True, exist_ok=True)
        _write(self._networkd / "10-eth0.network", "\n".join(lines) + "\n")
        if self.exists:
            changed = {"address": address, "network6": network6}
            _write(self.folder / "spec.json", json.dumps({**self.spec(), **changed}))

    @property
    def _networkd(self) -> Path:
        return self.disk / "etc/systemd/network"

    def interfaces(self) -> list[Interface]:
        """Return the host's interfaces in private networks."""
        try:
            kept = json.loads((self.folder / "interfaces.json").read_text())
        except FileNotFoundError:
            return []
        return [Interface(**{**each, "aliases": tuple(each["aliases"])}) for each in kept]

    def set_interfaces(self, interfaces: Sequence[Interface]) -> None:
        """Remember the host's interfaces in private networks."""
        _write(self.folder / "interfaces.json", json.dumps([asdict(each) for each in interfaces]))

    def configure(self, interfaces: Sequence[Interface]) -> None:
        """Tell networkd the private networks of a host that is off."""
        for path in self._networkd.glob("20-*.network"):
            path.unlink()
        for interface in interfaces:
            _write(self._networkd / f"20-{interface.name}.network", interface.config())

    def destroy(self) -> None:
        """Remove everything; the host must not run."""
        (self.folder / "spec.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=mode)
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(path)
