"""What the engine asks an error hook."""

from typing import Any

import pulumi


def failed(
    *errors: str,
    type_: str = "command:remote:Command",
    name: str = "web-1-apply",
    under: str = "urn:pulumi:s::p::t",
    inputs: Any = None,
) -> pulumi.ErrorHookArgs:
    """A step that failed with these errors, the newest first; its URN is `under` and its name."""
    return pulumi.ErrorHookArgs(
        urn=f"{under}::{name}",
        id="",
        name=name,
        type=type_,
        new_inputs=inputs,
        old_inputs=None,
        old_outputs=None,
        failed_operation="create",
        errors=list(errors),
    )
