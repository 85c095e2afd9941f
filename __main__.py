"""Read the stack's settings, build the mesh, export what its users need."""

import signal

import pulumi

from mesh.program import Mesh, run, stack_settings

# The engine ends the program. Ctrl-C on its terminal reaches the program, too: it has to stay until what is
# under way has come to its end, as a step that fails is answered by a hook in here.
signal.signal(signal.SIGINT, signal.SIG_IGN)


def declare() -> None:
    """Declare the mesh and the stack's outputs."""
    mesh = Mesh.from_settings("mesh", stack_settings())
    for name, value in mesh.outputs.items():
        if name != "mesh":  # the only mesh of a stack needs no name
            pulumi.export(name, value)


run(declare)
