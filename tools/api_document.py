"""Download the official document of Hetzner's API; tests compare the lab's cloud with this document.

The lab's cloud serves a part of this API, so only this part of the document is kept.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["DocumentError", "fetch"]

ADDRESS: Final = "https://docs.hetzner.cloud/cloud.spec.json"
KEPT: Final = (
    *("actions", "firewalls", "images", "locations", "networks", "placement_groups", "primary_ips"),
    *("server_types", "servers", "ssh_keys"),
)
"""What the lab's cloud serves, by the first part of a path."""
_SECONDS: Final = 60


class DocumentError(Exception):
    """The address has no document, or a different one."""


def fetch(address: str, target: Path) -> None:
    """Write the document at an address to a file, whole or not at all. Raises `DocumentError`."""
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - the operator's address
            text = answer.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        message = f"no answer from {address}: {error}. The tests also run without this document."
        raise DocumentError(message) from error
    try:
        document = _served(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DocumentError(f"{address} is not an OpenAPI document with the paths of a cloud") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_text(json.dumps(document))
    part.rename(target)


def _served(document: Mapping[str, Any]) -> dict[str, Any]:
    paths = {path: told for path, told in document["paths"].items() if path.split("/")[1] in KEPT}
    if "/servers" not in paths:
        raise KeyError("/servers")
    return {**document, "paths": paths}


def main() -> int:
    """Fetch as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--address", default=ADDRESS)
    options = parser.parse_args()
    try:
        fetch(options.address, options.target)
    except DocumentError as error:
        print(f"api-document: {error}", file=sys.stderr)
        return 1
    print(f"saved {options.address} as {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
