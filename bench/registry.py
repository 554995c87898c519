"""Names to things, loaded when first asked for.

A registry is filled from three places: the modules of a built-in folder (a file is a name, so adding a method is
adding a file), explicit `register` calls, and third parties' entry points. Nothing is imported until `get`.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Generic, TypeVar

from bench.errors import PluginError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Registry(Generic[T]):
    """A lazy map from names to objects of one kind.

    Args:
        kind: The singular noun used in messages ("method").
        group: The entry-point group third parties publish to ("bench.methods"), or None.
        packages: Built-in packages whose modules are entries; a module `m` provides `attribute` (a module-level name).
        attribute: What a built-in module exports under every entry ("METHOD", "CARD", …).
    """

    def __init__(
        self, kind: str, *, group: str | None = None, packages: tuple[str, ...] = (), attribute: str = "ENTRY"
    ) -> None:
        self.kind = kind
        self._group = group
        self._packages = packages
        self._attribute = attribute
        self._targets: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._loaded: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str, target: str, *, owner: str = "bench") -> None:
        """Adds `name` as a lazy "module:attribute" target.

        Raises:
            PluginError: Another owner already registered the name.
        """
        if name in self._targets and self._targets[name] != target:
            raise PluginError(
                f"{self.kind} {name!r} is registered twice: by {self._owners[name]} ({self._targets[name]}) "
                f"and by {owner} ({target}).",
                hint="Uninstall one of the two packages, or rename one entry point.",
            )
        self._targets[name] = target
        self._owners[name] = owner

    def add(self, name: str, value: T, *, owner: str = "bench") -> None:
        """Adds an object that is already loaded (tests and notebooks)."""
        self.register(name, f"{type(value).__module__}:{name}", owner=owner)
        self._loaded[name] = value

    def remove(self, name: str) -> None:
        """Forgets a name added by `add` or `register`."""
        self._targets.pop(name, None)
        self._owners.pop(name, None)
        self._loaded.pop(name, None)

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for package_name in self._packages:
            package = importlib.import_module(package_name)
            for module in pkgutil.iter_modules(package.__path__):
                if not module.name.startswith("_"):
                    target = f"{package_name}.{module.name}:{self._attribute}"
                    self.register(module.name.replace("_", "-") if self.kind == "dataset" else module.name, target)
        if self._group is not None:
            for point in entry_points(group=self._group):
                owner = point.dist.name if point.dist is not None else point.module
                self.register(point.name, point.value, owner=owner)

    def names(self) -> list[str]:
        """Returns every known name, sorted; loads nothing."""
        self._scan()
        return sorted(self._targets)

    def __contains__(self, name: object) -> bool:
        self._scan()
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def owner(self, name: str) -> str:
        """Returns the distribution that registered `name`."""
        self._scan()
        return self._owners[name]

    def target(self, name: str) -> str:
        """Returns the "module:attribute" that `get` would load; loads nothing."""
        self._scan()
        return self._targets[name]

    def get(self, name: str) -> T:
        """Loads and returns the object called `name`.

        Raises:
            UnknownNameError: Nobody registered the name; the message holds the nearest one and how to list them all.
            PluginError: A third party's target cannot be imported.
        """
        self._scan()
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._targets:
            raise UnknownNameError(
                f"unknown {self.kind} {name!r}.{did_you_mean(name, self._targets)}",
                hint=f"Known: {', '.join(self.names()) or 'none'}. `bench {self.kind}s` lists them.",
            )
        module_name, _, attribute = self._targets[name].partition(":")
        try:
            value = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            if self._owners[name] == "bench":
                raise
            raise PluginError(
                f"{self.kind} {name!r} of {self._owners[name]} cannot be loaded from {self._targets[name]!r}: {error}",
                hint=f"Upgrade or uninstall {self._owners[name]}.",
            ) from error
        self._loaded[name] = value
        return self._loaded[name]

    def items(self) -> Iterator[tuple[str, T]]:
        """Yields (name, object) for every entry; a plugin that fails to load warns and is left out."""
        for name in self.names():
            try:
                yield name, self.get(name)
            except PluginError as error:
                warnings.warn(str(error), stacklevel=2)
