"""A program that does by hand what Pulumi's engine does for a component of another language.

Starts the plugin in the folder `foreign:plugin`, asks for its schema, sends `Construct` with the arguments in
`foreign:mesh`, and exports schema and answer. The lab's engine runs this program.
"""

import atexit
import json
import os
import subprocess
import sys
from typing import Any

import grpc
import pulumi
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

config = pulumi.Config()
engine = os.environ["LAB_ENGINE"]

plugin = subprocess.Popen(
    [sys.executable, config.require("plugin"), engine], stdout=subprocess.PIPE, text=True, cwd="/"
)
atexit.register(plugin.kill)  # after the engine's last call of a hook
assert plugin.stdout is not None
provider = provider_pb2_grpc.ResourceProviderStub(
    grpc.insecure_channel(f"127.0.0.1:{int(plugin.stdout.readline())}")
)
provider.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, acceptResources=True))
schema = json.loads(provider.GetSchema(provider_pb2.GetSchemaRequest()).schema)
pulumi.export("types", sorted(schema["resources"]))


def construct(parent: str) -> Any:
    """Send the arguments; the plugin registers all resources with the engine itself."""
    request = provider_pb2.ConstructRequest(
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
        organization=pulumi.get_organization(),
        dryRun=pulumi.runtime.is_dry_run(),
        parallel=16,
        monitorEndpoint=engine,
        config=json.loads(os.environ["PULUMI_CONFIG"]),
        configSecretKeys=json.loads(os.environ["PULUMI_CONFIG_SECRET_KEYS"]),
        type="wireguard-mesh:index:Mesh",
        name="mesh",
        parent=parent,
    )
    json_format.ParseDict(config.require_object("mesh"), request.inputs)
    try:
        answer = provider.Construct(request, timeout=100)
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        raise pulumi.RunError(f"{error.code().name}: {error.details()} {details!r}") from None
    return json.dumps({"urn": answer.urn, "state": json_format.MessageToDict(answer.state)})


root = pulumi.runtime.get_root_resource()
assert root is not None
pulumi.export("answer", pulumi.Output.secret(root.urn.apply(construct)))
