"""Turning what a program asks for into steps, and taking them."""

from lab.engine.deploy.request import DeployError, Options, UpdateRequest, UpdateResult
from lab.engine.deploy.run import run

__all__ = ["DeployError", "Options", "UpdateRequest", "UpdateResult", "run"]
