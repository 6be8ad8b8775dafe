"""What is told over HTTP of a thing that a domain keeps: mostly its own fields, under their own names."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel


class Shape(BaseModel):
    """`Shape.show(found, due=…)` tells each field as `found` has it, but those that are named."""

    @classmethod
    def show(cls, found: object, **otherwise: Any) -> Self:
        """Raises AttributeError for a field that `found` lacks and nobody named: no field is left out unseen."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields if name not in otherwise}, **otherwise)
