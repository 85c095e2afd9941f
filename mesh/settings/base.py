"""What all models of the stack file have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Model"]


class Model(BaseModel):
    """Frozen; an unknown key is a mistake; keys are spelled as in the stack file.

    Of a key, the docstring is the description, `title` the type in words, `examples` what one writes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
