"""What the systemd units call: bring the interface up and down, and /etc in line after a boot."""

from __future__ import annotations

from ..answers import AgentError, Answer
from ..files.generation import Generation, committed_originals, current_digest, load_generation
from ..files.rendered import collect_leftovers
from ..files.wentback import committed_generation, originals_of_damaged, went_back_difference
from ..live.firewall import is_loaded, load_table
from ..live.following import reconcile
from ..live.interface import create_link, delete_link, read_link
from ..live.ipv6 import as_far_as_possible
from ..live.sysctl import set_sysctls
from ..rotation.stored import bring
from ..system.run import attempt, io_error, remove_tree
from ..system.systemd import active_state
from ..system.units import BOOT_UNIT
from ..trial.lock import BOOT_WAIT, lock
from ..trial.record import load_trial
from ..trial.undo import target_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["boot", "link_down", "link_reload", "link_up"]


def _target(places: Places) -> Generation:
    """Return what the interface should be now: the running trial's generation, else the committed one.

    Raises `AgentError`.
    """
    trial = load_trial(places)
    if trial is not None and trial.in_force:
        return load_generation(places, trial.digest)
    before = current_digest(places)
    committed = committed_generation(places)
    if committed is None:
        raise AgentError(Answer.FAILED, f"{places.current} is missing, so no interface can be brought up")
    if committed.digest != before:
        # The rest follows the older generation, too, and that unit fails to say so.
        attempt(["systemctl", "restart", "--no-block", BOOT_UNIT])
    return committed


def link_up(places: Places, tunnel: Tunnel) -> None:
    """Bring the interface up; one that exists is adopted. Raises `AgentError`, with nothing made then.

    On a host without IPv6 it has its IPv4 addresses.

    Takes no lock: a trial holds it while systemd calls this.
    """
    target = _target(places)
    made = read_link(tunnel) is None
    if made:
        create_link(tunnel)
    try:
        bring(places, tunnel, as_far_as_possible(places, tunnel, target))
    except AgentError:
        if made:
            delete_link(tunnel)
        raise


def link_reload(places: Places, tunnel: Tunnel) -> None:
    """Bring the existing interface in line, without ever taking away its key or peers on the way.

    One whose files are lost stays as it is: going back is for when there is none. Raises `AgentError`.
    """
    trial = load_trial(places)
    if trial is not None and trial.in_force:
        target = load_generation(places, trial.digest)
    else:
        target = load_generation(places, current_digest(places) or "absent")
    bring(places, tunnel, target)


def link_down(places: Places, tunnel: Tunnel) -> None:
    """Remove the interface."""
    del places
    delete_link(tunnel)


def boot(places: Places, tunnel: Tunnel) -> None:
    """Bring /etc, the firewall and the kernel settings in line with the committed generation.

    What fails keeps nothing else from being done. Raises `AgentError` at the end, also for having gone back a
    generation: the unit that called this fails, and is seen.
    """
    with lock(places, wait=BOOT_WAIT):
        if load_trial(places) is not None:
            return
        for leftover in places.generations.glob(".*"):
            remove_tree(leftover)
        collect_leftovers(places)
        troubles = _follow(places, tunnel)
    if active_state(tunnel.unit) == "inactive":
        attempt(["systemctl", "start", "--no-block", tunnel.unit])
    if troubles:
        raise AgentError(Answer.FAILED, "; ".join(troubles))


def _follow(places: Places, tunnel: Tunnel) -> list[str]:
    """Do all that a boot does; returns what is wrong, in words. Raises `AgentError`."""
    # systemd-sysctl has set those of the committed generation by now, even if it is damaged.
    originals = committed_originals(places)
    committed = committed_generation(places)
    if committed is None:
        return []
    originals = {**originals_of_damaged(places), **originals}
    troubles = [
        *_trouble(lambda: reconcile(places, tunnel, committed)),
        *_trouble(lambda: set_sysctls(places.sysctls, target_sysctls(places, committed, originals))),
        *_trouble(lambda: _load_firewall(places, committed)),
    ]
    return troubles + [f"{each.item}: {each.live}" for each in went_back_difference(places)]


def _trouble(action: Callable[[], object]) -> list[str]:
    try:
        action()
    except AgentError as error:
        return [error.reason]
    except OSError as error:
        return [io_error(error).reason]
    return []


def _load_firewall(places: Places, committed: Generation) -> None:
    if not is_loaded(places, committed.firewall):
        load_table(committed.firewall)
