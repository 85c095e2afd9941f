"""VPSes on this machine: Debian hosts with systemd, sshd and cloud-init, in namespaces of their own."""

from lab.hosts.errors import HostError
from lab.hosts.lab import Lab
from lab.hosts.machine import HostSpec
from lab.hosts.nat import Nat
from lab.hosts.private import Interface, PrivateNetwork
from lab.hosts.router import Rule

__all__ = ["HostError", "HostSpec", "Interface", "Lab", "Nat", "PrivateNetwork", "Rule"]
