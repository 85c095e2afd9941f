"""The stack file as typed, validated models. Every mistake is reported at once, before anything happens."""

from mesh.settings.models import (
    EVERY_NODE,
    Defaults,
    Node,
    PolicyRule,
    PolicyTest,
    PortRange,
    Rollout,
    Settings,
    Ssh,
)
from mesh.settings.parser import parse_settings
from mesh.settings.ports import merged
from mesh.settings.problems import Problem, SettingsError
from mesh.settings.warnings import warnings_of

__all__ = [
    "EVERY_NODE",
    "Defaults",
    "Node",
    "PolicyRule",
    "PolicyTest",
    "PortRange",
    "Problem",
    "Rollout",
    "Settings",
    "SettingsError",
    "Ssh",
    "merged",
    "parse_settings",
    "warnings_of",
]
