"""The parts of one operation, each made once and handed to those who need it."""

from dataclasses import dataclass

from lab.engine.deploy.course import Course
from lab.engine.deploy.events import Events
from lab.engine.deploy.executor import Executor
from lab.engine.deploy.generator import Generator
from lab.engine.deploy.hooks import Hooks
from lab.engine.deploy.journal import Journal
from lab.engine.deploy.providers import Providers
from lab.engine.deploy.refresher import Refresher
from lab.engine.deploy.request import UpdateRequest

__all__ = ["Operation"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is asked; how it stands; what is told, kept and called; who decides, does and reads again."""

    request: UpdateRequest
    course: Course
    events: Events
    journal: Journal
    hooks: Hooks
    providers: Providers
    generator: Generator
    executor: Executor
    refresher: Refresher

    @classmethod
    def of(cls, request: UpdateRequest) -> "Operation":
        """Make the parts for what is asked."""
        options, preview = request.options, request.preview
        course = Course(keeps_going=options.continue_on_error)
        events = Events(request.emit, planning=preview)
        journal = Journal(request.snapshot, request.keeps)
        hooks = Hooks(preview=preview)
        providers = Providers(request.config, request.stack_outputs, request.snapshot.resources)
        generator = Generator(
            journal=journal, options=options, events=events, provider=providers.of, preview=preview,
            mode=request.mode,
        )  # fmt: skip
        executor = Executor(
            journal=journal, events=events, course=course, hooks=hooks, find=providers.of,
            goes=generator.goes, request=request,
        )  # fmt: skip
        refresher = Refresher(
            journal=journal, events=events, course=course, find=providers.of, preview=preview,
            counted=request.kind == "refresh",
        )  # fmt: skip
        return cls(
            request=request, course=course, events=events, journal=journal, hooks=hooks, providers=providers,
            generator=generator, executor=executor, refresher=refresher,
        )  # fmt: skip

    async def close(self) -> None:
        """Let go of what talks to others."""
        await self.hooks.close()
        await self.providers.close()
