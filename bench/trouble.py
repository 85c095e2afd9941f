"""What ends a measurement."""

__all__ = ["BenchError"]


class BenchError(Exception):
    """A measurement could not be made; the message says what failed."""
