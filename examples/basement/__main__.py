"""A mesh in a basement: this program brings the provider of its nodes."""

import signal

import pulumi
from basement import BasementProvider

from mesh.program import PROVIDERS, Mesh, stack_settings

# The program ignores Ctrl-C: the engine ends the program after the running steps.
signal.signal(signal.SIGINT, signal.SIG_IGN)

providers = {**PROVIDERS, "basement": BasementProvider()}
mesh = Mesh.from_settings("mesh", stack_settings(), providers=providers)
pulumi.export("mesh", mesh.outputs)
