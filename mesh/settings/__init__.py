"""The stack file as typed, validated models. Every mistake is reported at once, before anything happens."""

from mesh.settings.models import Defaults, Node, PublicPort, Settings, Ssh
from mesh.settings.parser import parse_settings
from mesh.settings.problems import Problem, SettingsError

__all__ = [
    "Defaults",
    "Node",
    "Problem",
    "PublicPort",
    "Settings",
    "SettingsError",
    "Ssh",
    "parse_settings",
]
