"""Hetzner Cloud as a provider."""

from mesh.plan import NodePlan
from mesh.plan.dangers import Loss
from mesh.program.machines.base import Ahead, Provider, Site
from mesh.program.machines.hetzner.ahead import look_up
from mesh.program.machines.hetzner.cloud import Cloud
from mesh.program.machines.hetzner.limits import check_limits
from mesh.program.machines.hetzner.losses import loss_of
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.records import addresses, is_protected, present
from mesh.program.previous import Previous
from mesh.settings.machines import HetznerMachine, MachineKind

__all__ = ["Hetzner"]


class Hetzner(Provider):
    """Servers at Hetzner Cloud."""

    @property
    def kind(self) -> MachineKind:
        """Location, type and image; what fits into a project."""
        return MachineKind(model=HetznerMachine, check=check_limits)

    def declare(self, site: Site) -> Cloud:
        """Declare SSH key, firewalls and placement groups."""
        return Cloud.declare(site)

    def look_ahead(self, ahead: Ahead) -> None:
        """Ask the cloud what it has on offer, and what it has of this stack."""
        look_up(ahead)

    def loss(self, name: str, node: NodePlan | None, previous: Previous) -> Loss | None:
        """Say what becomes of a server and its address."""
        server, known = present(previous, name), addresses(previous, name)
        if server is None and not known:
            return None
        place = next((record.get("location") for record in known.values()), None)
        return loss_of(
            None if node is None else wanted(node),
            server,
            location=(server.location if server else None) or place,
            addresses={family: record.get("ipAddress") for family, record in known.items()},
            protected=is_protected(previous, name),
        )
