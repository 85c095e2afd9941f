"""Read the stack's settings, build the mesh, export what its users need."""

import pulumi

from mesh.program import Mesh
from mesh.settings import SettingsError, parse_settings

try:
    settings = parse_settings(pulumi.Config().require_object("mesh"))
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

mesh = Mesh("mesh", settings)

pulumi.export("nodes", mesh.nodes)
pulumi.export("ssh_private_key", mesh.ssh_private_key)
