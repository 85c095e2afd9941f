"""Every secret of a mesh: made once, kept in the state, and what may be shown of it.

A key is made by the program, kept by a `pulumi.Stash` and stays what it is until its version changes.
Private halves are secret outputs throughout. The functions below that return a plain `Output` hold
public halves and fingerprints only: this module is the one place that takes the secret mark off
anything (`Output.unsecret`).
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import SSHPrivateKeyTypes
from nacl.public import PrivateKey
from nacl.utils import random as random_bytes

from mesh.plan import FIRST_VERSION, PeerPlan, fingerprint, preshared_key
from mesh.remote import OwnKey, read_own_key, read_secret_input, secret_input

__all__ = [
    "Identity",
    "brought_host_key",
    "bundle_text",
    "first_contact_key",
    "host_key_entry",
    "host_key_to_bring",
    "kept_identity",
    "key_bundle",
    "key_fingerprint",
    "made_identity",
    "made_key",
    "node_identity",
    "other_ssh_key",
    "preshared_fingerprints",
    "preshared_keys",
    "preshared_root",
    "short_ssh_key",
    "shown_host_key",
    "ssh_key",
    "ssh_public_key",
    "ssh_public_line",
    "stored",
    "wireguard_public_key",
]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A node's WireGuard key: public half, fingerprint, and the private half where the program has it."""

    public_key: pulumi.Output[str]
    name: pulumi.Output[str]
    private: pulumi.Output[str] | None


_OPENSSH: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
_KEY_BYTES = 32  # Curve25519 private keys and WireGuard pre-shared keys


def stored(
    name: str,
    make: Callable[[], str],
    *,
    parent: pulumi.Resource,
    version: int = FIRST_VERSION,
    aliases: Sequence[pulumi.Alias] = (),
) -> pulumi.Output[str]:
    """Keep one secret in the state under `name` and return it as a secret output.

    `make` is called on every run, but only what it returned when the stash was created (or last
    replaced by another `version`) counts. A preview passes an unknown instead, so that a key
    that does not exist yet is shown as unknown and not as a value that will never be. `aliases` are the names
    that the stash had before.
    """
    fresh: Any = pulumi.output.UNKNOWN if pulumi.runtime.is_dry_run() else make()
    stash = pulumi.Stash(
        name,
        input=pulumi.Output.secret(fresh),
        opts=pulumi.ResourceOptions(
            parent=parent, ignore_changes=["input"], replacement_trigger=version, aliases=list(aliases)
        ),
    )
    return pulumi.Output.secret(stash.output)


def node_identity() -> str:
    """Make a WireGuard private key: base64 of 32 bytes."""
    return base64.b64encode(bytes(PrivateKey.generate())).decode()


def kept_identity(private: pulumi.Output[str]) -> Identity:
    """Return the identity of a private key that the state keeps."""
    return Identity(public_key=wireguard_public_key(private), name=key_fingerprint(private), private=private)


def made_key(node: str, command: pulumi.Output[str], answer: pulumi.Output[str]) -> pulumi.Output[OwnKey]:
    """Return the key that a node has made itself, from its answer; `command` is the URN of what was run."""

    def read(pair: Sequence[Any]) -> OwnKey:
        urn, text = pair
        made = read_own_key(text) if isinstance(text, str) else None
        if made is None:
            raise pulumi.RunError(
                f"{node}: the node has not told its WireGuard key, although SSH reports success: a start "
                f"file of root's shell (such as /root/.bashrc) ends the shell (`exit`) or starts another "
                f"one. Limit this to interactive shells, then run `pulumi up --replace '{urn}'`."
            )
        return made

    both: pulumi.Output[Sequence[Any]] = pulumi.Output.all(command, answer)
    return pulumi.Output.unsecret(both).apply(read)  # the engine takes it for as secret as the connection


def made_identity(key: pulumi.Output[OwnKey]) -> Identity:
    """Return the identity that a node has made itself."""
    return Identity(
        public_key=key.apply(lambda made: made.public_key),
        name=key.apply(lambda made: made.name),
        private=None,
    )


def preshared_root() -> str:
    """Make the root every pre-shared key of the mesh is derived from: base64 of 32 bytes."""
    return base64.b64encode(random_bytes(_KEY_BYTES)).decode()


def ssh_key() -> str:
    """Make an ed25519 SSH key (management or host key) in OpenSSH's format."""
    return _openssh(ed25519.Ed25519PrivateKey.generate())


def other_ssh_key(known: str | None) -> str:
    """Make an SSH host key of another kind than a `known` public one: an sshd serves one of each kind.

    So both can be served at once, ed25519 and ECDSA P-384.
    """
    if known is not None and known.startswith("ssh-ed25519 "):
        return _openssh(ec.generate_private_key(ec.SECP384R1()))
    return ssh_key()


def first_contact_key() -> str:
    """Make the throw-away ECDSA P-256 host key that a new server shows until it has its own, in PKCS #8.

    Every sshd reads that of an ECDSA key; of an Ed25519 key only OpenSSH 9.6 or newer does.
    """
    return _pkcs8(ec.generate_private_key(ec.SECP256R1()))


def short_ssh_key(private: str) -> str:
    """Return an SSH private key in PKCS #8, which is a third as long and always the same text for one key.

    Each of a node's commands has the key twice in the state. What connects reads this form: `ParsePrivateKey`
    of golang.org/x/crypto/ssh in Pulumi's command provider, asyncssh in the lab.
    """
    return _pkcs8(_ssh_private_key(private))


def _pkcs8(key: SSHPrivateKeyTypes) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _openssh(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def ssh_public_key(private: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the public half of an SSH key as a line of authorized_keys, without a comment."""
    return pulumi.Output.unsecret(private.apply(ssh_public_line))


def ssh_public_line(private: str) -> str:
    """Return the public half of an SSH private key as a line of authorized_keys, without a comment."""
    return (
        _ssh_private_key(private)
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


def _ssh_private_key(text: str) -> SSHPrivateKeyTypes:
    """Read a private key in OpenSSH's format or in PKCS #8."""
    load = serialization.load_ssh_private_key if _OPENSSH in text else serialization.load_pem_private_key
    return cast("SSHPrivateKeyTypes", load(text.encode(), password=None))


def wireguard_public_key(identity: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return a node's WireGuard public key: base64 of 32 bytes."""
    return pulumi.Output.unsecret(
        identity.apply(
            lambda key: base64.b64encode(bytes(PrivateKey(base64.b64decode(key)).public_key)).decode()
        )
    )


def key_fingerprint(identity: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the name under which a node stores its private key: 16 hex digits."""
    return pulumi.Output.unsecret(identity.apply(lambda key: fingerprint(base64.b64decode(key))))


def preshared_fingerprints(
    root: pulumi.Output[str], *, node: str, peers: Sequence[PeerPlan]
) -> pulumi.Output[dict[str, str]]:
    """Return the names under which a node stores its pre-shared keys: peer -> 16 hex digits.

    `node` is the node's oldest name.
    """

    def derive(text: str) -> dict[str, str]:
        secret = base64.b64decode(text)
        return {
            peer.name: fingerprint(preshared_key(secret, node, peer.oldest_name, peer.preshared_epoch))
            for peer in peers
        }

    return pulumi.Output.unsecret(root.apply(derive))


def preshared_keys(
    root: pulumi.Output[str], *, node: str, peers: Sequence[PeerPlan]
) -> pulumi.Output[dict[str, str]]:
    """Return pre-shared keys as a secret: peer -> base64. `node` is the oldest name of their owner."""

    def derive(text: str) -> dict[str, str]:
        secret = base64.b64decode(text)
        return {
            peer.name: base64.b64encode(
                preshared_key(secret, node, peer.oldest_name, peer.preshared_epoch)
            ).decode()
            for peer in peers
        }

    return pulumi.Output.secret(root.apply(derive))


def key_bundle(
    identity: Identity,
    root: pulumi.Output[str],
    *,
    node: str,
    peers: Sequence[PeerPlan],
    host_key: pulumi.Output[dict[str, str]],
) -> pulumi.Output[str]:
    """Return what the agent's `keys` command reads, as a secret: one per peer, and the node's own key.

    Without the latter where the node makes that itself.

    `node` is the node's oldest name; `host_key` is `host_key_to_bring`.
    """

    def bundle(secrets: Sequence[Any]) -> str:
        root_text, host, *own = secrets
        return bundle_text(root_text, own, node=node, peers=peers, host_key=host)

    own = () if identity.private is None else (identity.private,)
    return pulumi.Output.secret(pulumi.Output.all(root, host_key, *own).apply(bundle))


def bundle_text(
    root: str, own: Sequence[str], *, node: str, peers: Sequence[PeerPlan], host_key: Mapping[str, str]
) -> str:
    """Return the same of values that are known: `own` has the node's own key, or nothing."""
    secret = base64.b64decode(root)
    shared = [
        base64.b64encode(preshared_key(secret, node, peer.oldest_name, peer.preshared_epoch)).decode()
        for peer in peers
    ]
    return secret_input({"format": 1, "keys": [*own, *shared], **host_key})


def host_key_to_bring(
    private: pulumi.Output[str], shown: pulumi.Output[str]
) -> pulumi.Output[dict[str, str]]:
    """Return what a node's keys say of its SSH host key: which one it is to show.

    `shown` is the public key that it shows now. Another one is brought beside it; once it shows that, the
    former one is gone.
    """
    return pulumi.Output.secret(pulumi.Output.all(private, shown).apply(lambda pair: host_key_entry(*pair)))


def host_key_entry(wanted: str, shown: str) -> dict[str, str]:
    """Return the same of values that are known."""
    return {"host_key": wanted, **({} if ssh_public_line(wanted) == shown else {"former_host_key": shown})}


def brought_host_key(bundle: str) -> str | None:
    """Return the SSH host key, private half, that a bundle has; former versions' may have none."""
    found = read_secret_input(bundle).get("host_key")
    return found if isinstance(found, str) else None


def shown_host_key(bundle: pulumi.Output[str | None], pinned: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the public host key that a node shows once it has these keys.

    `pinned` is the one it was dialled by, which holds where its keys could not be brought.
    """

    def shown(pair: Any) -> Any:
        text, dialled = pair
        # the command provider answers a preview with no text where a secret input is unknown
        brought = brought_host_key(text) if isinstance(text, str) and text else None
        return dialled if brought is None else ssh_public_line(brought)

    both: pulumi.Output[Any] = pulumi.Output.all(bundle, pinned)
    return pulumi.Output.unsecret(both.apply(shown, run_with_unknowns=True))
