"""Frozen dataclasses, as far as the agent uses them.

The standard library's module reads source code with `inspect`, which costs a fifth of the agent's start. To
type checkers the names below are the standard library's own.
"""

from __future__ import annotations

from operator import attrgetter

__all__ = ["asdict", "dataclass", "field", "replace"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, replace
else:
    _FIELDS = "__record_fields__"
    _HIDDEN = object()

    def field(*, repr: bool) -> object:  # noqa: A002 - as the standard library calls it
        """Leave a field, which has no default, out of what `repr` shows: the only use of it here."""
        assert not repr
        return _HIDDEN

    def dataclass(*, frozen: bool) -> object:
        """Make a class of its annotated fields: compared, hashed and shown by their values; never changed."""
        assert frozen

        def made(cls: type) -> type:
            names = tuple(cls.__annotations__)
            given = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
            hidden = [name for name, value in given.items() if value is _HIDDEN]
            for name in hidden:
                delattr(cls, name)
            defaults = {name: value for name, value in given.items() if name not in hidden}
            values = attrgetter(*names)
            setattr(cls, _FIELDS, names)
            cls.__init__ = _init(names, defaults)
            cls.__eq__ = lambda self, other: (
                values(self) == values(other) if type(self) is type(other) else NotImplemented
            )
            cls.__hash__ = lambda self: hash(values(self))
            if "__repr__" not in cls.__dict__:
                cls.__repr__ = _repr([name for name in names if name not in hidden])
            cls.__setattr__ = cls.__delattr__ = _refuse
            return cls

        return made

    def _init(names: tuple, defaults: dict) -> object:
        def init(self: object, *args: object, **named: object) -> None:
            placed = dict(zip(names, args))
            if len(args) > len(names) or placed.keys() & named:
                raise TypeError(f"{type(self).__name__} takes {', '.join(names)}, each once")
            values = {**defaults, **placed, **named}
            if values.keys() != set(names):
                raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
            self.__dict__.update(values)

        return init

    def _repr(names: list) -> object:
        def shown(self: object) -> str:
            values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{type(self).__name__}({values})"

        return shown

    def _refuse(self: object, name: str, *_value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot change")

    def replace(record: object, **changes: object) -> object:
        """Return a copy with other values for some fields. Raises `TypeError` for a name that is none."""
        return type(record)(**{**record.__dict__, **changes})

    def asdict(record: object) -> dict:
        """Return a record as a dictionary, records within it as well."""
        return {name: _plain(getattr(record, name)) for name in getattr(record, _FIELDS)}

    def _plain(value: object) -> object:
        if hasattr(type(value), _FIELDS):
            return asdict(value)
        if isinstance(value, dict):
            return {key: _plain(each) for key, each in value.items()}
        return type(value)(map(_plain, value)) if isinstance(value, (list, tuple)) else value
