"""The stack file as typed, validated models. Every mistake is reported at once, before anything happens."""

from mesh.settings.base import Model
from mesh.settings.client import Client
from mesh.settings.grants import Grant, PortRange
from mesh.settings.groups import EVERY_NODE, members_by_name, named_networks
from mesh.settings.models import Rollout, Rotation, Settings, Ssh
from mesh.settings.node import Defaults, Node
from mesh.settings.parser import parse_settings
from mesh.settings.policy import PolicyRule, PolicyTest
from mesh.settings.ports import merged, overlap
from mesh.settings.problems import Instead, Problem, SettingsError
from mesh.settings.rotation import next_port
from mesh.settings.routes import in_one_family, node_of
from mesh.settings.topology import linked_pairs
from mesh.settings.underlay import OVERHEAD
from mesh.settings.warnings import warnings_of

__all__ = [
    "EVERY_NODE",
    "OVERHEAD",
    "Client",
    "Defaults",
    "Grant",
    "Instead",
    "Model",
    "Node",
    "PolicyRule",
    "PolicyTest",
    "PortRange",
    "Problem",
    "Rollout",
    "Rotation",
    "Settings",
    "SettingsError",
    "Ssh",
    "in_one_family",
    "linked_pairs",
    "members_by_name",
    "merged",
    "named_networks",
    "next_port",
    "node_of",
    "overlap",
    "parse_settings",
    "warnings_of",
]
