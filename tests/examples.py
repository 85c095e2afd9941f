"""How many examples property tests try: few in every run, many in `make test-long`."""

from hypothesis import settings

__all__ = ["examples"]


def examples(share: float) -> settings:
    """Return settings for a test whose examples are dearer (below 1) or cheaper than most."""
    return settings(max_examples=max(1, round(settings().max_examples * share)))
