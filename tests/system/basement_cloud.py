"""The command `basement` of the made-up provider in examples/basement: its machines are the lab's hosts."""

import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path

from lab.hosts import HostSpec, Lab

_FIRST = 10


def main() -> None:
    """Do what the words say: `STATE IMAGES create NAME IMAGE`, user data on stdin, or `... delete NAME`."""
    state, images, action, name, *more = sys.argv[1:]
    lab, key = Lab(Path(state), Path(images)), hashlib.sha256(name.encode()).hexdigest()[:7]
    lab.destroy(key)  # what a run left that was killed meanwhile
    if action == "create":
        print(json.dumps({"address": _create(lab, Path(state), key, name, *more)}))


def _create(lab: Lab, state: Path, key: str, name: str, image: str) -> str:
    with (state / "addresses.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = {machine.spec()["address"] for machine in lab.machines() if machine.exists}
        address = next(str(ip) for ip in list(lab.pool)[_FIRST:] if str(ip) not in taken)
        spec = HostSpec(
            key=key,
            hostname=name,
            address=address,
            user_data=sys.stdin.read(),
            public_keys=[os.environ["SSH_KEY"]],
            instance_id=f"{name}-{os.getpid()}",
            image=image,
        )
        lab.create(spec)
    lab.start(key)
    return address


if __name__ == "__main__":
    main()
