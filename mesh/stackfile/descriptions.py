"""What the models' docstrings say of the keys of the stack file, read when somebody asks.

Pydantic would read them whenever the program starts, in a tenth of the time that all of it takes to load.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType

from mesh.settings.base import Model

__all__ = ["descriptions"]


@cache
def descriptions(model: type[Model]) -> Mapping[str, str]:
    """Return the docstring of each field that has one, by the field's name in Python.

    A model has those of its bases, too; one whose source cannot be read has none of its own.
    """
    bases = (base for base in reversed(model.__mro__) if issubclass(base, Model))
    return MappingProxyType({name: text for base in bases for name, text in _own(base)})


def _own(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield the fields of one class that have a docstring, with it."""
    try:
        (parsed,) = ast.parse(inspect.cleandoc(f"\n{inspect.getsource(model)}")).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return  # put together from other models, which have their source; or a text stands left of its class
    if not isinstance(parsed, ast.ClassDef):
        return
    for field, after in pairwise(parsed.body):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
