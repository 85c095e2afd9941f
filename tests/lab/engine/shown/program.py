# Everything that a display has to show, one after the other so that the order is always the same.
import os
from typing import Any

import pulumi
from pulumi import ComponentResource, Output, ResourceOptions, Stash

first = os.environ["STEP"] == "1"
previous: list[pulumi.Resource] = []


def after(**options: Any) -> ResourceOptions:
    return ResourceOptions(depends_on=previous[-1:], **options)


def stash(name: str, value: object, **options: Any) -> Stash:
    made = Stash(name, input=value, opts=after(**options))
    previous.append(made)
    return made


class Files(ComponentResource):
    def __init__(self, name: str, **inputs: object) -> None:
        super().__init__("t:m:Files", name, inputs, after())


own = pulumi.StackReference("dev")
previous.append(own)
stash("text", "\n".join(f"line {n}" if first or n != 6 else "line six\n\n" for n in range(1, 13)) + "\n")
stash("head", "same\n" * 5 + ("old\n" if first else "new\n\n"))
stash("long", "x" * 160 + ("y" if first else "z"))
stash("lists", {"lines": ["one", "two"] if first else ["zero", "one", "two"], "same": [1]})
stash(
    "keys",
    {"files": {"/etc/a": "1", "/etc/b": "2"} if first else {"/etc/a": "1", "/etc/b": "two", "/etc/c": "3"}},
)
stash(
    "kinds", {"json": '{"a": [1, 2.5]}', "yaml": "a: 1\nb:\n- x\n", "none": None, "empty": [], "flag": first}
)
stash("decoded", '{"a": 1, "b": 2}' if first else '{"a": 1, "b": 3}')
stash("odd", 'tab\tquote"back\\slash\x01é')
stash("secret", Output.secret("hush" if first else "hush hush"))
files = Files("files", lines={"/etc/wireguard/wg0.conf": ["# web-4", "[Interface]"]}, number=12, more=1.5)
stash("inside", {"a": 1}, parent=files, protect=first)
stash("replaced", 1, parent=files, replacement_trigger=first)
dropped = stash("dropped", {"one": 1, "two": 2} if first else {"one": "1"})
last = stash("unknown", Output.all(dropped.id, dropped.output).apply(lambda found: [len(found[0]), found[1]]))
if first:
    stash("gone", {"a": 1})
if pulumi.runtime.is_dry_run():
    last.urn.apply(
        lambda _: pulumi.log.info("files is new:\n  line a\n    line b", resource=files, ephemeral=True)
    )
pulumi.export("number", 1)
pulumi.export("step", 1 if first else 2)
pulumi.export("text", "a\nb\nc\n" + str(first))
pulumi.export("id", last.id)
pulumi.export("word", Output.secret("hush"))
