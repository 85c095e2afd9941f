"""How an operation stands: whether new steps may begin, and what has gone wrong."""

import asyncio

__all__ = ["Course"]


class Course:
    """Shared by all that takes part in one operation, on one event loop."""

    def __init__(self, *, keeps_going: bool) -> None:
        self._keeps_going = keeps_going
        self._stopped = asyncio.Event()
        self.program_done = asyncio.Event()
        """Set when the program has registered all it wants."""
        self.step_failed = False
        self.hook_failed = False
        """Whether a hook has failed that ran after its resource was done."""
        self.refused = False
        """Whether the operation ended early for a reason that the user has been told."""

    @property
    def stopped(self) -> bool:
        """Whether no new step may begin: a step failed, or the user interrupts."""
        return self._stopped.is_set()

    @property
    def failed(self) -> bool:
        """Whether a step or a hook has failed."""
        return self.step_failed or self.hook_failed

    def stop(self) -> None:
        """Begin no new step."""
        self._stopped.set()

    def refuse(self) -> None:
        """Begin no new step, for a reason that the user has been told."""
        self.refused = True
        self.stop()

    def fail_step(self) -> None:
        """A step has failed; what does not need its resource goes on if the user wishes so."""
        self.step_failed = True
        if not self._keeps_going:
            self.stop()

    def heed_hooks(self) -> None:
        """Begin no new step if a hook has failed and the user does not wish to go on."""
        if self.hook_failed and not self._keeps_going:
            self.stop()

    async def until_stopped(self) -> None:
        """Wait until no new step may begin."""
        await self._stopped.wait()

    async def hold_if_stopped(self) -> None:
        """Go on, or never return once no step may begin: the program is then ended."""
        if self.stopped:
            await asyncio.Event().wait()
