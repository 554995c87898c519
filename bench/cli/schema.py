"""`bench schema`: the JSON Schema of a spec, for editors."""

from __future__ import annotations

from bench.cli import output

EXAMPLE = "bench schema > specs/schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def command() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from bench.spec.models import Spec

    output.emit({"$schema": DIALECT, **Spec.model_json_schema()})
