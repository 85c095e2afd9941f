"""What the systemd units call: bring the interface up and down, and /etc in line after a boot."""

import shutil
from typing import Optional

from .answers import AgentError, Answer
from .etc import reconcile
from .firewall import expected_table, live_table, load_table
from .generation import Generation, committed_originals, load_generation, load_link
from .interface import converge, create_link, delete_link, read_link
from .lock import BOOT_WAIT, lock
from .places import WG_UNIT, Places
from .sysctl import set_sysctls
from .system import attempt, log, replace_link
from .systemd import active_state
from .trial import load_trial
from .undo import target_sysctls

__all__ = ["boot", "link_down", "link_reload", "link_up"]


def _target(places: Places) -> Generation:
    """Return what the interface should be now: the running trial's generation, else the committed one."""
    trial = load_trial(places)
    if trial is not None and trial.phase in ("running", "live"):
        return load_generation(places.generations / trial.digest)
    committed = load_link(places.current)
    if committed is None:
        raise AgentError(
            Answer.FAILED, f"{places.current} is absent or damaged: there is nothing to bring up"
        )
    return committed


def link_up(places: Places) -> None:
    """Bring the interface up; one that exists is adopted. Raises `AgentError`, with nothing made then.

    Takes no lock: a trial holds it while systemd calls this.
    """
    target = _target(places)
    made = read_link() is None
    if made:
        create_link()
    try:
        converge(target.device, target.link)
    except AgentError:
        if made:
            delete_link()
        raise


def link_reload(places: Places) -> None:
    """Bring the existing interface in line, without ever taking away its key or peers on the way."""
    target = _target(places)
    converge(target.device, target.link)


def link_down(places: Places) -> None:
    """Remove the interface."""
    del places
    delete_link()


def boot(places: Places) -> None:
    """Bring /etc, the firewall and the kernel settings in line with the committed generation."""
    with lock(places, wait=BOOT_WAIT):
        if load_trial(places) is not None:
            return
        for leftover in places.generations.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # systemd-sysctl has set those of the committed generation by now, even if it is damaged.
        originals = committed_originals(places)
        committed = load_link(places.current)
        if committed is None:
            committed = _fall_back(places)
        if committed is None:
            return
        reconcile(places, committed)
        set_sysctls(places.sysctls, target_sysctls(committed, originals))
        if live_table() != expected_table(committed.firewall):
            load_table(committed.firewall)
    if active_state(WG_UNIT) == "inactive":
        attempt(["systemctl", "start", "--no-block", WG_UNIT])


def _fall_back(places: Places) -> Optional[Generation]:
    """Take the generation before when the committed one is damaged."""
    if not places.current.is_symlink():
        return None
    before = load_link(places.previous)
    if before is None:
        raise AgentError(Answer.FAILED, f"{places.current.readlink()} is damaged and there is none before it")
    log(f"{places.current.readlink()} is damaged: going back to {before.digest}")
    replace_link(places.current, f"generations/{before.digest}")
    return before
