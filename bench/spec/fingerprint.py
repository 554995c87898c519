"""The identity of a cell: canonical JSON, its hash, and the digest of a method's source.

The same fingerprint means the same result. It covers what can change a number and nothing else: no paths, device,
worker count, timeouts or display options.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import math
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FINGERPRINT_VERSION = 1
"""Raised when training or scoring code changes results without any field below changing."""

_METHODS = "bench.methods"
_ENCODERS = "bench.encoders"
_CONTRACT = frozenset({"bench.methods", "bench.methods.base", "bench.methods.registry"})
"""Modules every method imports; a change there that changes results raises FINGERPRINT_VERSION."""


def canonical_json(value: object) -> str:
    """Returns JSON text that is equal exactly for equal values.

    Keys are sorted, there is no white space, tuples are lists and Pydantic models their JSON form. A float without a
    fraction is written as the whole number it equals (`1.0` as `1`, `-0.0` as `0`), because YAML and JSON do not tell
    them apart reliably. `True` is not `1`.

    Raises:
        ValueError: A number is not finite.
        TypeError: A key is not text, or a value has no JSON form.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _canonical(value: object) -> object:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number must be finite to have a fingerprint, but got {value}")
        return int(value) if value.is_integer() else float(value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, BaseModel):
        return _canonical(value.model_dump(mode="json"))
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise TypeError(f"a key must be text to have a fingerprint, but got {odd[0]!r}")
        return {key: _canonical(item) for key, item in value.items()}
    raise TypeError(f"a {type(value).__name__} has no canonical JSON: {value!r}")


def fingerprint(value: object) -> str:
    """Returns the first 32 hexadecimal digits of the sha256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


class StudyIdentity(BaseModel):
    """Everything that can change the result of a search, and so of the runs that follow it, but the runs' seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: int = FINGERPRINT_VERSION
    """Version of the training and scoring code."""
    task: str
    """Name of the task."""
    protocol: str
    """Name of the protocol, with its version."""
    dataset_digest: str
    """sha256 of the dataset's content and split."""
    method: str
    """Label: `mgcn`, `befa[mgcn]`."""
    method_digest: str
    """`source_digest` of the method and of the method it wraps."""
    config: dict[str, Any]
    """Defaults overridden by `set`; an adapter's holds the wrapped method's under `wrapped`. In place of a checkpoint's
    name: `sha256:` and the digest of its content."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Fields that are searched and their domains as YAML; empty when there are no trials."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Sampler, pruner, seed and parallel trials; empty when nothing is searched."""
    views: dict[str, str] = Field(default_factory=dict)
    """View name to view digest."""
    budget: dict[str, Any]
    """trials, epochs, patience, trial_epochs."""
    select: str
    """The validation metric that chooses epochs and configurations."""
    precision: str
    """Floating type of the training."""

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits."""
        return fingerprint(self)


class CellIdentity(StudyIdentity):
    """Everything that can change the result of a run."""

    seed: int
    """Seed of the run."""

    @property
    def study(self) -> StudyIdentity:
        """The identity shared by the cells that differ in their seed only."""
        return StudyIdentity(**self.model_dump(exclude={"seed"}))


class Difference(NamedTuple):
    """A field on which two identities disagree."""

    field: str
    """Its path: `config.lr`."""
    before: object
    """Value in the first; None when it is absent there."""
    after: object
    """Value in the second; None when it is absent there."""


def differences(before: Mapping[str, Any] | BaseModel, after: Mapping[str, Any] | BaseModel) -> list[Difference]:
    """Returns the fields on which two identities disagree, with both values, sorted by path."""
    return sorted(_differences(_plain(before), _plain(after), ""), key=lambda difference: difference.field)


def explain_difference(before: Mapping[str, Any] | BaseModel, after: Mapping[str, Any] | BaseModel) -> list[str]:
    """Returns the paths of the fields on which two identities disagree; empty exactly when fingerprints are equal."""
    return [difference.field for difference in differences(before, after)]


def _plain(value: Mapping[str, Any] | BaseModel) -> Any:
    return json.loads(canonical_json(value if isinstance(value, BaseModel) else dict(value)))


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict) and (before or after):
        for key in {**before, **after}:
            inner = f"{path}.{key}" if path else key
            if key in before and key in after:
                yield from _differences(before[key], after[key], inner)
            else:
                yield Difference(inner, before.get(key), after.get(key))
    elif canonical_json(before) != canonical_json(after):
        yield Difference(path, before, after)


def source_digest(*modules: str) -> str:
    """Returns a digest of what the code of some modules does, found without running it.

    Comments, docstrings, layout and imports for type checkers do not count. The modules of `bench.methods` and
    `bench.encoders` (for a third party's module, of its own top-level package too) that are imported, directly or not,
    do; `bench.methods.base` and `bench.methods.registry` do not.

    Args:
        modules: Dotted names. An adapter's cell names the wrapped method's module too.

    Returns:
        32 hexadecimal digits.

    Raises:
        PluginError: A module has no Python source.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _source_path(name)
        if path is None:
            raise PluginError(
                f"module {name!r} has no Python source to take a digest of.",
                hint="Put the method in a .py file: results must be traceable to code.",
            )
        text = path.read_text(encoding="utf-8")
        found[name] = _code_digest(text)
        waiting += _imports(text, name, is_package=path.name == "__init__.py")
    return fingerprint(found)


def _source_path(name: str) -> Path | None:
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        loaded = spec.origin if spec is not None else None
    return Path(loaded) if loaded is not None and loaded.endswith(".py") else None


@lru_cache(maxsize=256)
def _code_digest(text: str) -> str:
    return hashlib.sha256(_dump(ast.parse(text)).encode()).hexdigest()


def _dump(node: object) -> str:
    """Writes a syntax tree in a form that does not depend on Python's version, layout or docstrings."""
    if isinstance(node, list):
        return "[" + ",".join(_dump(item) for item in node if not _is_text(item) and not _is_typing_only(item)) + "]"
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({','.join(f'{name}={_dump(value)}' for name, value in fields)})"
    return repr(node)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_typing_only(node: object) -> bool:
    if not isinstance(node, ast.If) or node.orelse:
        return False
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@lru_cache(maxsize=256)
def _imports(text: str, module: str, *, is_package: bool) -> tuple[str, ...]:
    """Returns what a module imports that belongs to a method too; type-checking blocks do not count."""
    package = (module if is_package else module.rpartition(".")[0]).split(".")
    own = module.partition(".")[0]
    homes = (_METHODS, _ENCODERS) if own == "bench" else (_METHODS, _ENCODERS, own)

    def belongs(name: str) -> bool:
        return name not in _CONTRACT and any(name == home or name.startswith(home + ".") for home in homes)

    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if _is_typing_only(node):
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if belongs(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            names += [base] if belongs(base) else []
            inner = [f"{base}.{alias.name}" for alias in node.names if belongs(f"{base}.{alias.name}")]
            names += _modules_of(base, inner) if inner else []
        waiting += ast.iter_child_nodes(node)
    return tuple(names)


def _modules_of(package: str, names: list[str]) -> list[str]:
    """Returns those of a package's names that are modules, by looking at its folder: importing would run them."""
    path = _source_path(package)
    if path is None or path.name != "__init__.py":
        return []
    folders = [(name, path.parent / name.rpartition(".")[2]) for name in names]
    return [name for name, at in folders if at.with_suffix(".py").exists() or (at / "__init__.py").exists()]
