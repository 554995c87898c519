"""`MethodConfig`: the one place for a method's defaults, bounds, search space and help text."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.spec.space import Choices, Domain, IntRange, Log, Uniform


class MethodConfig(BaseModel):
    """Base of every method's `Config`: frozen, and a misspelt key is an error.

    A field `checkpoint`, and in a method that declares `encoders` a field `encoder`, names a pretrained model: a
    folder, or an id in the local Hugging Face cache. In a cell's identity the digest of its content stands for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def space(cls) -> dict[str, Domain]:
        """Returns the method's own search space: the domain annotated on each searchable field."""
        found: dict[str, Domain] = {}
        for name, field in cls.model_fields.items():
            for item in field.metadata:
                if isinstance(item, (Choices, Uniform, Log, IntRange)):
                    found[name] = item
        return found

    @classmethod
    def with_values(cls, values: dict[str, Any]) -> MethodConfig:
        """Returns the defaults overridden by `values`, validated."""
        return cls.model_validate(values)
