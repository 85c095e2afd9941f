"""The units that undo a trial: two timers and a watch, made for it, of which a reboot knows nothing."""

from __future__ import annotations

import contextlib

from ..system.run import make_folder, write_file
from ..system.systemd import start_new, stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["arm_way_back", "disarm"]

_SECOND_TIMER = 10.0
# Seconds for systemd to stop the timers: with the record gone, they would find nothing to do.
_STOP = 10.0

# Nobody isolates them (`systemctl isolate`, and what it stops first, sysinit.target).
_UNIT = """\
[Unit]
Description=wireguard-mesh: {what}
IgnoreOnIsolate=yes
DefaultDependencies=no
CollectMode=inactive-or-failed
"""
# systemd's default would let it be a minute late (systemd.timer(5), AccuracySec).
_TIMER = """
[Timer]
OnActiveSec={seconds:g}s
AccuracySec=1s
RemainAfterElapse=no
"""
# A journal that hangs is not connected to, and a userspace WireGuard that was made on the way back lives on.
_SERVICE = """
[Service]
ExecStart={command}
StandardOutput=null
StandardError=null
KillMode=process
"""
_AGAIN = """\
Restart=on-failure
RestartSec=1
"""


def arm_way_back(
    folder: Path, timers: tuple[str, str], watch: str, *, seconds: float, command: Sequence[str]
) -> None:
    """Have a command undo a trial after these many seconds, by two timers; and a watch see to that.

    Their files go into `folder`. Sees that they are active. Raises `AgentError`, `OSError`.
    """
    first, second = timers
    make_folder(folder, 0o755)
    line = " ".join(command)
    service = _UNIT.format(what="undo a trial that nobody confirmed") + _SERVICE.format(command=line)
    watcher = _UNIT.format(what="watch a trial") + _SERVICE.format(command=f"{line} watch") + _AGAIN
    texts = {f"{first}.service": service, f"{second}.service": service, f"{watch}.service": watcher}
    for name, after in ((first, seconds), (second, seconds + _SECOND_TIMER)):
        what = _UNIT.format(what="the deadline of a trial")
        texts[f"{name}.timer"] = what + _TIMER.format(seconds=after)
    for name, text in texts.items():
        write_file(folder / name, text.encode(), 0o644)
    start_new([f"{first}.timer", f"{second}.timer", f"{watch}.service"])


def disarm(folder: Path, timers: tuple[str, str], watch: str) -> None:
    """Stop the timers and remove the files of all units; the watch ends by itself, as the record is gone.

    Names may hold `*`, which stands for any trial.
    """
    stop(*(f"{timer}.timer" for timer in timers), timeout=_STOP)
    for unit in (*timers, watch):
        for path in folder.glob(f"{unit}.*"):
            with contextlib.suppress(OSError):
                path.unlink()
