"""The remote commands of a node, in their order: copy, own key where it makes one, keys, apply.

A server that was there before its node has first contact before that, as a step of its own. Any other one is
met by the copied agent: by the first command that it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pulumi
from pulumi_command import remote

from mesh.names import AGENT_FILE, APPLY, BOOTSTRAP, INCOMING, INSTALL, KEYS, LEAVE, OWN_KEY
from mesh.program.agent import AgentFile
from mesh.program.confirmed import line_to_run
from mesh.program.machines.base import Contact, Machine, protection
from mesh.remote import agent_call, agent_named, keys_call, own_key_call, own_key_input, secret_input

__all__ = ["DIALS", "FIRST_DIALS", "Commands", "Meeting", "Target"]

FIRST_DIALS: Final = 40
"""A server answers pings before sshd listens: 40 refusals pass in about 2.5 minutes."""
DIALS: Final = 10
"""Enough for an sshd that is being reloaded (10 refusals: about 11 s), short for a host that is down."""
_DIAL_SECONDS: Final = 10
_COMMAND_INPUTS: Final = [
    "connection",
    "create",
    "stdin",
    "environment",
    "triggers",
    "logging",
    "addPreviousOutputInEnv",
]
# Of a step that is done once: only its triggers (another server, another version) run it again.
_ONCE: Final = ["connection", "create", "stdin", "environment"]
_COPY_INPUTS: Final = ["connection", "source", "remotePath", "triggers"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a node's commands run and what holds for each of them.

    `machine` is what they run on; `hooks` answers a failed command. With `keep`, commands that exist stay as
    they are, whatever changes; `gate` is what has to be done before the node is touched. `confirmed` looks at
    the answer to `apply`; the state has `record` of it. `protect` holds for `apply`. `former` are
    the names that the node had before. `older` are steps that the state has, and that are needed no more.
    `contact` is how a machine is met that was there already; any other one shows `first_host_key` until its
    node was met. The `idle` steps keep the connection that they were done with. `met` is whether any step was
    done. Another `version` makes a command another one, whose answer no preview knows.
    """

    node: str
    address: pulumi.Input[str]
    private_key: pulumi.Input[str]
    host_key: pulumi.Input[str]
    machine: Machine
    hooks: pulumi.ResourceHookBinding
    parent: pulumi.Resource
    port: pulumi.Input[int]
    keep: bool
    confirmed: pulumi.ResourceHook
    first_host_key: pulumi.Input[str]
    first_dials: pulumi.Input[int]
    gate: tuple[pulumi.Resource, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    former: tuple[str, ...] = ()
    older: frozenset[str] = frozenset()
    dials: pulumi.Input[int] = DIALS
    protect: bool = False
    contact: Contact | None = None
    idle: frozenset[str] = frozenset()
    met: bool = False
    version: tuple[int, ...] = ()

    def looked_at(self) -> "Target":
        """Return the same target, on which the answers of commands are looked at."""
        hooks = pulumi.ResourceHookBinding(
            on_error=self.hooks.on_error, after_create=[self.confirmed], after_update=[self.confirmed]
        )
        return replace(self, hooks=hooks)

    def contact_connection(self, contact: Contact) -> remote.ConnectionArgs:
        """Return the SSH connection of first contact with a machine that was there already."""
        return remote.ConnectionArgs(
            host=self.address,
            port=contact.port,
            user=contact.user,
            private_key=contact.private_key,
            host_key=contact.host_key,
            dial_error_limit=DIALS,
            per_dial_timeout=_DIAL_SECONDS,
        )

    def first_connection(self) -> remote.ConnectionArgs:
        """Return the SSH connection of steps that meet a new machine: pinned to what it shows until then."""
        if self.contact is not None:
            return self.connection()
        return replace(self, host_key=self.first_host_key, dials=self.first_dials).connection()

    def connection(self) -> remote.ConnectionArgs:
        """Return the SSH connection, pinned to the host key."""
        return remote.ConnectionArgs(
            host=self.address,
            port=self.port,
            user="root",
            private_key=self.private_key,
            host_key=self.host_key,
            dial_error_limit=self.dials,
            per_dial_timeout=_DIAL_SECONDS,
        )

    def options(
        self,
        step: str,
        *,
        after: list[pulumi.Resource],
        inputs: list[str],
        ignore_changes: list[str] | None = None,
        protect: bool | None = None,
    ) -> pulumi.ResourceOptions:
        """Return the options every command of this node has; `inputs` are all it could change by."""
        return pulumi.ResourceOptions(
            parent=self.parent,
            depends_on=[*after, *self.gate],
            deleted_with=self.machine.resource,
            ignore_changes=inputs if self.keep else ignore_changes,
            hooks=self.hooks,
            protect=protect,
            aliases=[pulumi.Alias(name=f"{former}-{step}") for former in self.former],
        )

    def command(
        self,
        step: str,
        *,
        create: pulumi.Input[str],
        stdin: pulumi.Input[str],
        after: list[pulumi.Resource],
        ignore_changes: list[str] | None = None,
        protect: bool | None = None,
        connection: remote.ConnectionArgs | None = None,
    ) -> remote.Command:
        """Declare one command: payload on stdin, nothing logged, run again on a new server."""
        options = self.options(
            step, after=after, inputs=_COMMAND_INPUTS, ignore_changes=ignore_changes, protect=protect
        )
        return remote.Command(
            f"{self.node}-{step}",
            connection=connection or self.connection(),
            create=create,
            stdin=stdin,
            triggers=[self.machine.identity, *self.version],
            logging=remote.Logging.NONE,
            add_previous_output_in_env=False,
            opts=self.unless_idle(step, options, work=["create", "stdin"]),
        )

    def leave(self, contact: Contact, *, after: list[pulumi.Resource]) -> None:
        """Declare what takes the mesh off a machine that outlives its node: a command that its deletion runs.

        No step depends on it: so the state can do without it where the machine is dead.
        """
        remote.Command(
            f"{self.node}-{LEAVE}",
            connection=self.connection(),
            delete=contact.part,
            logging=remote.Logging.STDOUT,
            add_previous_output_in_env=False,
            opts=self.options(
                LEAVE, after=after, inputs=["connection"], protect=protection(wanted=self.protect)
            ),
        )

    def keep_older(
        self, step: str, *, after: list[pulumi.Resource], of_server: bool = False
    ) -> pulumi.Resource:
        """Keep a step of a state as it is: nothing is done for it, and nothing depends on it.

        One `of_server` is made empty where it was of another server: that one may come back, and the step
        with it.

        It comes after what the state says that it needs, and before what needed it (`_registered`), which a
        run with `--target` would else keep first.

        It goes one run after the steps that depended on it were done without it. With `--continue-on-error`
        Pulumi's engine would also delete it where those are skipped, as of a node that is down: they would
        name a resource that is gone, and no run could read the state any more.
        """
        return remote.Command(
            f"{self.node}-{step}",
            connection=remote.ConnectionArgs(host=""),
            triggers=[self.machine.identity] if of_server else None,
            opts=self.options(
                step,
                after=after,
                inputs=_COMMAND_INPUTS,
                ignore_changes=[name for name in _COMMAND_INPUTS if not (of_server and name == "triggers")],
            ),
        )

    @property
    def before_commit(self) -> "Target":
        """The same target for the steps before `apply`: the canary does not hold up those of a new node."""
        return self if self.met else replace(self, gate=())

    def unless_idle(
        self, step: str, options: pulumi.ResourceOptions, *, work: list[str]
    ) -> pulumi.ResourceOptions:
        """Return the options of a step: one that is idle keeps its connection, which is no change then.

        If one of the inputs `work` changes all the same, the engine replaces the step instead of updating it:
        a step that is replaced has its present inputs, the connection, too.
        """
        if step not in self.idle or self.keep:
            return options
        idle = pulumi.ResourceOptions(ignore_changes=["connection"], replace_on_changes=work)
        return pulumi.ResourceOptions.merge(options, idle)


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """The agent's file, and first contact with a machine that was there already.

    `older` are the steps of a state that are kept although nothing needs them.
    """

    copy: remote.CopyToRemote
    older: tuple[pulumi.Resource, ...]

    @staticmethod
    def declare(target: Target, *, host_private_key: pulumi.Input[str], agent_file: AgentFile) -> "Meeting":
        """Declare what has to be there before a node can do anything by itself."""
        after = [*([made] if (made := target.machine.resource) else []), *target.machine.ready]
        older: tuple[pulumi.Resource, ...] = ()
        if target.contact is not None:
            after = [_first_contact(target, target.contact, host_private_key=host_private_key, after=after)]
        elif BOOTSTRAP in target.older:
            older = (target.keep_older(BOOTSTRAP, after=after, of_server=True),)
        copy = remote.CopyToRemote(
            f"{target.node}-{AGENT_FILE}",
            connection=target.first_connection(),
            source=pulumi.FileAsset(agent_file.path),
            remote_path=_registered(older, INCOMING),
            triggers=[target.machine.identity],
            opts=target.unless_idle(
                AGENT_FILE,
                target.before_commit.options(AGENT_FILE, after=after, inputs=_COPY_INPUTS),
                work=["source", "remotePath"],
            ),
        )
        if INSTALL in target.older:
            older = (*older, target.keep_older(INSTALL, after=[copy]))
        return Meeting(copy=copy, older=older)

    def own_key(
        self, target: Target, version: int, *, owner: str, host_private_key: pulumi.Output[str]
    ) -> remote.Command:
        """Declare the step in which the node makes this version of its key, or tells it again.

        `owner` names the node in this stack: a copy of its disk in another server makes a key of its own.
        """

        def stdin(values: Sequence[Any]) -> str:
            server, host_key = values
            return own_key_input(version, f"{owner}/{server}", host_key)

        given: pulumi.Output[Sequence[Any]] = pulumi.Output.all(target.machine.identity, host_private_key)
        return replace(target, version=(version,)).command(
            OWN_KEY,
            connection=target.first_connection(),
            create=_registered(self.older, own_key_call()),
            stdin=pulumi.Output.secret(given.apply(stdin)),
            after=[self.copy],
            ignore_changes=_ONCE,
        )


def _registered(resources: Sequence[pulumi.Resource], value: str) -> pulumi.Input[str]:
    """Return a value that the engine gets once it has these resources. Nothing depends on them by that."""
    if not resources:
        return value

    async def wait() -> str:
        for each in resources:
            await each.urn.future()
        return value

    return pulumi.Output.from_input(wait())


def _first_contact(
    target: Target,
    contact: Contact,
    *,
    host_private_key: pulumi.Input[str],
    after: list[pulumi.Resource],
) -> remote.Command:
    """Declare first contact with a machine that was there already, and what takes the mesh off it again."""
    host_key = pulumi.Output.from_input(host_private_key)
    # The canary holds up nothing of this.
    first = replace(target, gate=())
    met = first.command(
        BOOTSTRAP,
        connection=target.contact_connection(contact),
        create=contact.command,
        stdin=host_key.apply(lambda key: secret_input({"host_key": key})),
        after=after,
        ignore_changes=_ONCE,
    )
    first.leave(contact, after=[met])
    return met


@dataclass(frozen=True, kw_only=True)
class Commands:
    """What turns a bare server into a node of the mesh; `apply` is done when the node has committed."""

    keys: remote.Command
    apply: remote.Command

    def agent(self) -> pulumi.Output[str | None]:
        """Return the digest of the agent that did all steps; None of a node on which not all was done by one.

        So in a run in which a step fails or is left out: it has no answer then.
        """

        def named(pair: Sequence[Any]) -> str | None:
            line, answer = pair
            return agent_named(line) if isinstance(line, str) and isinstance(answer, str) else None

        both: pulumi.Output[Sequence[Any]] = pulumi.Output.all(self.keys.create, self.apply.stdout)
        return both.apply(named)

    @staticmethod
    def declare(
        target: Target,
        *,
        after: list[pulumi.Resource],
        older: Sequence[pulumi.Resource],
        agent_file: AgentFile,
        keys: pulumi.Input[str],
        document: pulumi.Input[str],
    ) -> "Commands":
        """Declare the steps that put a node's keys and files in place, `after` it was met.

        `keys` is the secret bundle of WireGuard keys and `document` the node's files as plain text. `older`
        are steps of the state that nothing needs any more.
        """
        stored = target.before_commit.command(
            KEYS,
            connection=target.first_connection(),
            create=_registered(older, keys_call(agent_file.sha256)),
            stdin=keys,
            after=after,
        )
        applied = target.looked_at().command(
            APPLY,
            create=line_to_run(agent_call("apply"), target.record),
            stdin=document,
            after=[stored],
            # deleted before anything else of a node: a destroy that is refused here has deleted nothing, and
            # no key, as this depends on all keys
            protect=protection(wanted=target.protect),
        )
        return Commands(keys=stored, apply=applied)
