"""The agent: what runs on a node, shipped as one zipapp under the package name `wgmesh`.

Python 3.9, standard library only. docs/protocol.md is its specification.
"""

__all__ = ["VERSION"]

VERSION = "1"
"""The version of the protocol between the program and the agent."""
