"""Imports made while something else is waited for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

__all__ = ["importing"]


@contextmanager
def importing(*modules: str) -> Iterator[None]:
    """Import modules in a thread while the block waits, as for the engine; all are there after the block.

    asyncssh alone takes a quarter of a second, about as long as the engine's answer.
    """
    thread = threading.Thread(target=lambda: [import_module(name) for name in modules], daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
