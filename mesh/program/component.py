"""The mesh as a component package: `pulumi package add` offers `Mesh` to YAML, TypeScript and Go programs.

The schema is what the SDK makes of the types here and in `arguments.py`; a test keeps a copy of the schema.
"""

from typing import Any, NotRequired, TypedDict

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from mesh.names import VERSION
from mesh.plan import PlanError
from mesh.program.arguments import MeshArgs, as_settings, camel_case
from mesh.program.door import try_settings
from mesh.program.mesh import Mesh as ProgramMesh
from mesh.settings import SettingsError

__all__ = ["PACKAGE", "Mesh", "MeshProvider", "NodeFacts", "serve"]

PACKAGE = "wireguard-mesh"
"""The package's name; types are `wireguard-mesh:index:...`, as in a program in Python."""


class NodeFacts(TypedDict):
    """What is known of a node."""

    address: str
    """The node's address in the mesh."""
    address6: NotRequired[str]
    """The node's IPv6 address in the mesh, if the mesh has `cidr6`."""
    enabled: bool
    """Whether the node takes part."""
    ssh_port: int
    """The port that sshd listens on."""
    public_ip: str
    """The node's public address."""
    public_key: str
    """The node's WireGuard public key, base64."""
    host_key: str
    """The node's SSH host key, public half."""
    reaches: NotRequired[list[str]]
    """With `links`: the nodes that the node has a path to. Left out: all others."""


class Mesh(ProgramMesh):
    """A private WireGuard network of servers in which every node reaches every other one."""

    nodes: dict[str, NodeFacts]  # type: ignore[assignment] # in the schema's spelling
    """What is known of each node, by name."""
    ssh_private_key: pulumi.Output[str]
    """The SSH key that opens all nodes, OpenSSH format, secret."""
    outputs: pulumi.Output[Any]  # type: ignore[assignment] # a type that the schema can say
    """Export this under any name: the commands of day two read the mesh from the stack's outputs."""

    def __init__(self, name: str, args: MeshArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Check the arguments and declare the mesh. Raises `SettingsError`, `PlanError` or `RunError`."""
        checked = try_settings(as_settings(args), mesh=name)
        super().__init__(name, checked.plan, previous=checked.previous, told=checked.told, opts=opts)
        spelled: Any = {
            node: {camel_case(fact): value for fact, value in facts.items()}
            for node, facts in self.nodes.items()
        }
        self.nodes = spelled


class MeshProvider(ComponentProvider):
    """Hosts `Mesh`. A mistake in the arguments is told at its property, without a traceback."""

    def __init__(self) -> None:
        super().__init__([Mesh], PACKAGE, version=VERSION)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Declare a mesh. Raises `InputPropertiesError` for what is wrong with its arguments."""
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            refused = _refusal(error.inner)
            if refused is None:
                raise
            raise refused from None


def _refusal(error: Exception) -> Exception | None:
    """Return what the engine shows for an error that is the user's to mend; None for any other."""
    if isinstance(error, InputPropertyError | InputPropertiesError):
        return error
    if isinstance(error, SettingsError):
        count = "a mistake" if len(error.problems) == 1 else f"{len(error.problems)} mistakes"
        return InputPropertiesError(
            f"the arguments of the mesh have {count}; nothing was changed",
            [
                {"property_path": problem.path.removeprefix("mesh."), "reason": problem.message}
                for problem in error.problems
            ],
        )
    if isinstance(error, PlanError | pulumi.RunError):
        return InputPropertiesError(str(error), [])
    return None


def serve(arguments: list[str]) -> None:
    """Answer the engine until it ends this process; `arguments` are those that the engine started it with."""
    main(MeshProvider(), arguments)
