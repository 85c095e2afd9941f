"""Read the stack's settings, build the mesh, export what its users need."""

import signal

import pulumi

from mesh.outputs import program_record
from mesh.plan import PlanError, plan_mesh
from mesh.program import Mesh, look_ahead, read_previous, stack_settings
from mesh.settings import SettingsError, parse_settings, warnings_of

# The engine ends the program. Ctrl-C on its terminal reaches the program, too: it has to stay until what is
# under way has come to its end, as a step that fails is answered by a hook in here.
signal.signal(signal.SIGINT, signal.SIG_IGN)

try:
    raw = stack_settings()
    settings = parse_settings(raw, stack=pulumi.get_stack())
    plan = plan_mesh(settings)
    previous = read_previous()
    told = look_ahead(plan, raw, previous)
except (SettingsError, PlanError) as error:
    raise pulumi.RunError(str(error)) from None
for warning in warnings_of(settings):
    pulumi.log.warn(str(warning))

mesh = Mesh("mesh", plan, previous=previous, told=told)

pulumi.export("nodes", mesh.nodes)
pulumi.export("ssh_private_key", mesh.ssh_private_key)
pulumi.export("wireguard_mesh", program_record())
