"""Runs a Pulumi program in a process of its own; started by the engine, with the engine's pid in argv.

What to run comes as one line of JSON on standard input: the SDK is imported by the time the engine knows.
Nothing but the SDK is imported here: the program may run in another virtual environment.
"""

# ruff: noqa: E402 - Ctrl-C comes first: until the program runs, it ends this process at once, with no traceback
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import ctypes
import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pulumi.runtime
from pulumi.runtime import settings
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_THREADS_PER_SLOT = 4
_PR_SET_PDEATHSIG = 1  # prctl(2)
_MOMENT = 0.05  # seconds in which what depends on a failed apply has failed, too


def _end_with_engine(engine: int) -> None:
    """Have the kernel end this process when the engine is killed. Raises `SystemExit` if it is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != engine:
        raise SystemExit(1)


def main() -> int:
    """Run the program of the request on standard input; without one there is nothing to run."""
    _end_with_engine(int(sys.argv[1]))
    del sys.path[0]  # the modules beside this file are not the program's
    line = sys.stdin.readline()
    if not line:
        return 0
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    request = json.loads(line)
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return _run(request)


def _run(request: dict[str, Any]) -> int:
    program, parallel = request["program"], request["parallel"]
    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    made = pulumi.runtime.Settings(
        monitor=request["address"], engine=_Engine(request["address"]), project=request["project"],
        stack=request["stack"], organization=request["organization"], dry_run=request["preview"],
        parallel=parallel, root_directory=request["root"],
    )  # fmt: skip
    pulumi.runtime.configure(made)
    sys.argv = [program]
    os.chdir(os.path.dirname(program) if os.path.isfile(program) else program)  # noqa: PTH113, PTH120
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(parallel, 1) * _THREADS_PER_SLOT)
    loop.set_default_executor(executor)
    # a deployment that ends early leaves futures that nobody awaits
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(_program(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a program may raise
        told = _fuller(loop, error)
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_users_part(told)}")
        return int(request["exit_said"])
    except KeyboardInterrupt:
        return int(request["exit_said"])  # the engine tells of its interrupt itself
    finally:
        executor.shutdown(wait=True)
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


class _Engine:
    """The engine's service, without the SDK's debug messages: the SDK waits for each, and nobody reads them.

    Pulumi's engine drops them, too, but with `--debug`, which this engine does not have.
    """

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def Log(self, request: Any) -> Any:  # noqa: N802 - the service's name
        return None if request.severity == engine_pb2.DEBUG else self._stub.Log(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)


def _program(path: str) -> Callable[[], None]:
    def run() -> None:
        runpy.run_path(path, run_name="__main__")

    return run


def _fuller(loop: asyncio.AbstractEventLoop, error: Exception) -> Exception:
    """Return the failure of the registration that an apply's failure has spoilt: it names the resource.

    Which of the two the SDK raises is chance.
    """
    loop.run_until_complete(asyncio.sleep(_MOMENT))
    manager = getattr(settings, "_get_rpc_manager", lambda: None)()
    registration: Exception | None = getattr(manager, "unhandled_exception", None)
    cause: BaseException | None = registration
    while cause is not None and cause is not error:
        cause = cause.__cause__
    return registration if cause is not None and registration is not None else error


def _users_part(error: Exception) -> str:
    """The traceback from the program's first frame on."""
    frames = traceback.extract_tb(error.__traceback__)
    program = os.path.realpath(sys.argv[0])
    for index, frame in enumerate(frames):
        if os.path.realpath(frame.filename).startswith(program):
            return "".join(traceback.format_exception(error, limit=-(len(frames) - index)))
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    ending = runpy.run_path(str(Path(__file__).parents[1] / "ending.py"))
    ending["end"](main())
