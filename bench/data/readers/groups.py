"""Groups of things that must stay in one part of a split."""

from __future__ import annotations


class Groups:
    """Names in groups, each called by the first of its names in the alphabet, in whatever order they were linked."""

    def __init__(self) -> None:
        self._leader: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Returns what the group of a name is called; a name that was never linked is a group of its own."""
        while self._leader.setdefault(name, name) != name:
            name = self._leader[name]
        return name

    def link(self, one: str, other: str) -> None:
        """Makes one group of the groups of two names."""
        first, second = sorted((self.of(one), self.of(other)))
        self._leader[second] = first
