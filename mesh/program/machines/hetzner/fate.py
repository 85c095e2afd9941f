"""What becomes of a server that was there: made anew, or kept although the stack file names another image."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_hcloud as hcloud

from mesh.plan import NodePlan
from mesh.program.machines.hetzner.model import wanted

__all__ = ["tell_fate"]


def tell_fate(node: NodePlan, server: hcloud.Server, before: Mapping[str, Any], *, told: bool) -> None:
    """Warn of a server that is replaced, unless that is `told` already, and of a wish for another image.

    That a server is replaced, as by `up --replace`, only shows in what the engine answers: in a preview its
    number is not known then, and afterwards it is another one.
    """
    if not before:
        return

    def look(answer: Any) -> None:
        number, urn = answer
        if _is_another(number, before):
            if not told:
                pulumi.log.warn(
                    f"{node.name} gets a new server, from {wanted(node).image}: the old server is deleted "
                    f"with its disk"
                )
        elif _other_image(node, before):
            pulumi.log.warn(
                f"{node.name} runs {before['image']}, and the stack file says {wanted(node).image}: an "
                f"existing server keeps its image. To rebuild the server (this erases its disk): `pulumi "
                f"up --replace '{urn}'`"
            )

    pulumi.Output.all(server.id, server.urn).apply(look, run_with_unknowns=True)


def _is_another(number: Any, before: Mapping[str, Any]) -> bool:
    if isinstance(number, pulumi.output.Unknown):
        return pulumi.runtime.is_dry_run()  # afterwards it is one whose change failed
    return before.get("id") not in {None, number}


def _other_image(node: NodePlan, before: Mapping[str, Any]) -> bool:
    """Whether another image is wished for; a number and a name may be the same one."""
    has, wish = before.get("image"), wanted(node).image
    return has is not None and str(has) != wish and str(has).isdigit() == wish.isdigit()
