"""A shop: web and database servers in a mesh, and a mail server outside the mesh.

The mail server accepts mail only from the public addresses of the mesh's nodes.
"""

import signal

import pulumi
import pulumi_hcloud as hcloud

from mesh.program import Mesh, stack_settings

# The program ignores Ctrl-C: the engine ends the program after the running steps.
signal.signal(signal.SIGINT, signal.SIG_IGN)

mesh = Mesh.from_settings("mesh", stack_settings())
pulumi.export("mesh", mesh.outputs)

firewall = hcloud.Firewall(
    "mail",
    rules=[
        hcloud.FirewallRuleArgs(
            direction="in",
            protocol="tcp",
            port="587",
            source_ips=[
                pulumi.Output.concat(node["public_ip"], "/32") for _, node in sorted(mesh.nodes.items())
            ],
        )
    ],
)
group = hcloud.PlacementGroup("spread-mail", type="spread")
mail = hcloud.Server(
    "mail-server",
    server_type="cx23",
    image="debian-12",
    location="fsn1",
    firewall_ids=[firewall.id.apply(int)],
    placement_group_id=group.id.apply(int),
)
pulumi.export("mail", mail.ipv4_address)
