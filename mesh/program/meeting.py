"""What the state tells of how nodes were met: steps that are over, and steps that have nothing to do.

The first steps on a new server are done over a connection that is pinned to its throw-away host key, and the
state has them so. Since it has committed, the node shows another one. That alone is no change: a step whose
work is the same keeps the connection that it was done with. Once there is work, it gets the present one.
"""

from mesh.names import (
    AGENT_FILE,
    BOOTSTRAP,
    COMMAND,
    COPY,
    DONE_BY,
    HOST_KEY,
    IDENTITY,
    INSTALL,
    KEYS,
    LEAVE,
    PRESHARED_ROOT,
    STASH,
)
from mesh.plan import NodePlan
from mesh.program.access import Committed
from mesh.program.keys import bundle_text, host_key_entry
from mesh.program.previous import Previous
from mesh.remote import keys_call

__all__ = ["idle_steps", "older_steps"]


def older_steps(before: Previous, node: str, *, agent: str, met_apart: bool) -> frozenset[str]:
    """Return the steps of versions before this one that a state has, and perhaps steps that depend on these.

    `agent` is the digest of the agent of this run. First contact is a step of its own with `met_apart` only:
    with a server that was there before its node.
    """
    done_by = before.component(node).get(DONE_BY)
    found = set()
    if before.has_part(COMMAND, node, INSTALL) and not isinstance(done_by, str):
        found.add(INSTALL)
    if not met_apart and before.has_part(COMMAND, node, BOOTSTRAP):
        was_apart = before.has_part(COMMAND, node, LEAVE)
        if was_apart or done_by != agent:
            found.add(BOOTSTRAP)
    return frozenset(found)


def idle_steps(
    before: Previous,
    node: NodePlan,
    committed: Committed | None,
    *,
    agent: str,
    same_numbers: bool,
    own_key: bool,
) -> frozenset[str]:
    """Return the steps with nothing to do that were done over another host key than the node has.

    `agent` is the digest of the agent of this run, and `same_numbers` whether this run gives nodes the keys
    of the versions that the state has. With `own_key` the node makes its WireGuard key.

    Nobody can know here of a key that `--replace` names, or of a run that was stopped while it replaced keys:
    a step that does have work all the same is one that the engine replaces (`Target.unless_idle`). So it is
    with all steps on a server that is made anew in this run.
    """
    stored = before.part(COMMAND, node.name, KEYS)
    if committed is None or stored.get("create") != keys_call(agent):
        return frozenset()
    records = {AGENT_FILE: before.part(COPY, node.name, AGENT_FILE), KEYS: stored}
    found = {
        step
        for step, record in records.items()
        if (record.get("connection") or {}).get("hostKey") != committed.host_key
    }
    if KEYS in found and not (
        same_numbers and stored.get("stdin") == _bundle(before, node, committed, own_key=own_key)
    ):
        found.remove(KEYS)
    return frozenset(found)


def _bundle(before: Previous, node: NodePlan, committed: Committed, *, own_key: bool) -> str | None:
    """Return the keys that the node gets if no key that the state has is replaced; None if one is missing."""
    root = before.record(STASH, PRESHARED_ROOT).get("output")
    host_key = before.part(STASH, node.name, HOST_KEY).get("output")
    own = [] if own_key else [before.part(STASH, node.name, IDENTITY).get("output")]
    if root is None or host_key is None or committed.host_key is None or None in own:
        return None
    return bundle_text(
        root,
        [str(key) for key in own],
        node=node.oldest_name,
        peers=node.peers,
        host_key=host_key_entry(host_key, committed.host_key),
    )
