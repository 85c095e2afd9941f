"""A mesh in a basement: nodes at a provider that this program brings along."""

import pulumi
from basement import BasementProvider

from mesh.program import PROVIDERS, Mesh, stack_settings

providers = {**PROVIDERS, "basement": BasementProvider()}
mesh = Mesh.from_settings("mesh", stack_settings(), providers=providers)
pulumi.export("mesh", mesh.outputs)
