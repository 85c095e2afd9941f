"""For tests of single values: the words in which a value is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

__all__ = ["refusal"]


def refusal(field: Callable[[object], Any], value: object) -> str:
    with pytest.raises(PydanticCustomError) as error:
        field(value)
    return str(error.value)
