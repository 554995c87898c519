"""The JSON Schema of what may be written in a spec, for editors."""

from __future__ import annotations

from typing import Any

from bench.spec.models import Spec


def schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a spec: short forms and `extends` included, with field help."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Spec.model_json_schema()}
