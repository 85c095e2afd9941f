"""A mesh in a basement: nodes at a provider that this program brings along."""

import signal

import pulumi
from basement import BasementProvider

from mesh.program import PROVIDERS, Mesh, stack_settings

# Ctrl-C reaches the program too. The engine ends the program, after every step under way has come to its end.
signal.signal(signal.SIGINT, signal.SIG_IGN)

providers = {**PROVIDERS, "basement": BasementProvider()}
mesh = Mesh.from_settings("mesh", stack_settings(), providers=providers)
pulumi.export("mesh", mesh.outputs)
