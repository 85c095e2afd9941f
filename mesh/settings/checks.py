"""What the parts of a stack file must be to each other.

Every check reads the raw values and passes over those that cannot be read, which are reported
elsewhere: so one mistake hides no other.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mesh.settings.addresses import check_cidr_owner
from mesh.settings.addresses6 import check_addresses6
from mesh.settings.callers import check_callers
from mesh.settings.clients import check_client_policy, check_clients
from mesh.settings.egress import check_egress
from mesh.settings.interfaces import check_interfaces
from mesh.settings.names import check_names
from mesh.settings.ports import check_public_ports
from mesh.settings.raw import Finding
from mesh.settings.references import (
    check_former_names,
    check_groups,
    check_policy,
    check_policy_tests,
    check_rollout,
)
from mesh.settings.room import check_addresses
from mesh.settings.rotation import check_rotation
from mesh.settings.routes import check_routes
from mesh.settings.topology import check_links
from mesh.settings.underlay import check_underlay_mtu

__all__ = ["CHECKS"]


CHECKS: Final[tuple[Callable[[Mapping[Any, Any]], Iterator[Finding]], ...]] = (
    check_names,
    check_addresses,
    check_addresses6,
    check_cidr_owner,
    check_interfaces,
    check_routes,
    check_public_ports,
    check_rotation,
    check_former_names,
    check_groups,
    check_policy,
    check_policy_tests,
    check_rollout,
    check_links,
    check_callers,
    check_egress,
    check_underlay_mtu,
    check_clients,
    check_client_policy,
)
"""Each takes the raw value of the mesh and yields what is wrong with it."""
