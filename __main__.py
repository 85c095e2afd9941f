"""Read the stack's settings, build the mesh, export what its users need."""

import signal

import pulumi

from mesh.plan import PlanError, plan_mesh
from mesh.program import Mesh, read_previous
from mesh.settings import SettingsError, parse_settings

# After a failure the engine ends the program with SIGINT, of which Python would print a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    plan = plan_mesh(parse_settings(pulumi.Config().require_object("mesh"), stack=pulumi.get_stack()))
except (SettingsError, PlanError) as error:
    raise pulumi.RunError(str(error)) from None

mesh = Mesh("mesh", plan, previous=read_previous())

pulumi.export("nodes", mesh.nodes)
pulumi.export("ssh_private_key", mesh.ssh_private_key)
