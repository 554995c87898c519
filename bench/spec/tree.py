"""YAML text to a tree in which every key and value knows where it was written.

The scalars are those of YAML 1.2's core schema: `1e-4` is a number, `no` and `on` are text. There are no tags beyond
that schema, so reading a spec runs no code, and size, depth and aliases are bounded, so reading one cannot exhaust the
machine.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from bench.spec.problems import Loc, Position, Problem, format_path, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_NULL = re.compile(r"(?:|~|null|Null|NULL)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_SCALARS = (("null", _NULL), ("bool", _BOOL), ("int", INT), ("float", FLOAT))


@dataclass(frozen=True)
class Leaf:
    """A scalar: text, number, true, false or nothing."""

    value: str | int | float | bool | None
    position: Position


@dataclass(frozen=True)
class Listing:
    """A list."""

    items: tuple[Tree, ...]
    position: Position
    numbers: tuple[int, ...] = ()
    """Indices of the items as written, where some were cut out; empty when none was."""
    cut: bool = False
    """Whether something inside was cut out."""


class Entry(NamedTuple):
    """The value of a key, and where the key was written."""

    key: Position
    value: Tree


@dataclass(frozen=True)
class Branch:
    """A mapping with text keys, in the order written."""

    entries: dict[str, Entry]
    position: Position
    cut: bool = False
    """Whether something inside was cut out."""


Tree = Leaf | Listing | Branch


class _LimitError(yaml.MarkedYAMLError):
    """A bound on depth, nodes or aliases was passed."""


class _Loader(yaml.SafeLoader):
    """Composes nodes with bounded depth and number and resolves plain scalars by YAML 1.2's core schema."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels")
        if self._count > MAX_NODES:
            self._refuse(f"more than {MAX_NODES} keys and values")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _refuse(self, what: str) -> None:
        raise _LimitError(problem=what, problem_mark=self.peek_event().start_mark)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return str(super().resolve(kind, value, implicit))
        if not implicit[0]:
            return _TAG + "str"
        if value == "<<":
            return _MERGE
        return _TAG + next((name for name, pattern in _SCALARS if pattern.match(value)), "str")


@dataclass
class _Builder:
    """Turns composed nodes into a `Tree`, collecting what must not be there."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    open_nodes: list[Any] = field(default_factory=list)

    def at(self, node: Any) -> Position:
        return _position(self.file, node.start_mark)

    def report(self, node: Any, loc: Loc, message: str) -> None:
        self.problems.append(Problem(self.at(node), format_path(loc), message))

    def build(self, node: Any, loc: Loc) -> Tree:
        self.count += 1
        if self.count > MAX_NODES:
            raise _LimitError(problem=f"aliases expand to more than {MAX_NODES} values", problem_mark=node.start_mark)
        if any(node is outer for outer in self.open_nodes):
            raise _LimitError(problem="an alias refers to the value it is part of", problem_mark=node.start_mark)
        if len(self.open_nodes) > MAX_DEPTH:
            raise _LimitError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=node.start_mark)
        self.open_nodes.append(node)
        try:
            return self._build(node, loc)
        finally:
            self.open_nodes.pop()

    def _build(self, node: Any, loc: Loc) -> Tree:
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items = tuple(self.build(child, (*loc, index)) for index, child in enumerate(node.value))
            return Listing(items, self.at(node))
        if isinstance(node, yaml.ScalarNode) and node.tag == _MERGE:
            return Leaf(node.value, self.at(node))
        if isinstance(node, yaml.ScalarNode):
            return Leaf(self._scalar(node, loc), self.at(node))
        self._refuse_tag(node, loc)
        return Leaf(None, self.at(node))

    def _refuse_tag(self, node: Any, loc: Loc) -> None:
        tag = node.tag.replace(_TAG, "!!", 1)
        self.report(node, loc, f"tag {shown(tag)} is not allowed here; a spec is plain YAML: remove the tag.")

    def _scalar(self, node: Any, loc: Loc) -> str | int | float | bool | None:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            if any("\ud800" <= character <= "\udfff" for character in text):
                self.report(node, loc, "text holds half of a surrogate pair; write the character itself.")
                return None
            return text
        pattern = dict(_SCALARS).get(kind) if node.tag.startswith(_TAG) else None
        if pattern is None or not pattern.match(text):
            self._refuse_tag(node, loc)
            return None
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return self._int(node, loc) if kind == "int" else self._float(node, loc)

    def _int(self, node: Any, loc: Loc) -> int | None:
        text: str = node.value
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        value = int(text, base) if len(text) <= 32 else 2**63
        if abs(value) >= 2**63:
            self.report(node, loc, f"got {text[:32]}…; a whole number must fit 64 bits.")
            return None
        return value

    def _float(self, node: Any, loc: Loc) -> float | None:
        text: str = node.value
        value = math.nan if "n" in text.lower() else float(text)
        if not math.isfinite(value):
            self.report(node, loc, f"got {shown(text)}; a number must be finite.")
            return None
        return value

    def _mapping(self, node: Any, loc: Loc) -> Branch:
        entries: dict[str, Entry] = {}
        merged: list[tuple[Any, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.append((key_node, value_node))
                continue
            key = self._key(key_node, loc)
            if key is None:
                continue
            value = self.build(value_node, (*loc, key))
            if key in entries:
                first = entries[key].key
                self.report(key_node, (*loc, key), f"key {shown(key)} is given twice; it was first given at {first}.")
                continue
            entries[key] = Entry(self.at(key_node), value)
        for key_node, value_node in merged:
            for name, entry in self._merged(key_node, value_node, loc).items():
                entries.setdefault(name, entry)
        return Branch(entries, self.at(node))

    def _key(self, node: Any, loc: Loc) -> str | None:
        before = len(self.problems)
        value = self._scalar(node, loc) if isinstance(node, yaml.ScalarNode) else [None]
        if len(self.problems) > before:
            return None
        if not isinstance(value, str):
            self.report(node, loc, f"a key must be text, but got {shown(value)}; put it in quotes.")
            return None
        return value

    def _merged(self, key_node: Any, value_node: Any, loc: Loc) -> dict[str, Entry]:
        sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        entries: dict[str, Entry] = {}
        for source in sources:
            tree = self.build(source, loc)
            if isinstance(tree, Branch):
                for name, entry in tree.entries.items():
                    entries.setdefault(name, entry)
            else:
                message = "a merge key takes an alias of a mapping, or a list of such aliases."
                self.report(key_node, (*loc, "<<"), message)
        return entries


def read_tree(text: str, file: str) -> tuple[Tree | None, list[Problem]]:
    """Reads one YAML document.

    Args:
        text: The document.
        file: The name positions carry.

    Returns:
        The tree (None when the text is not YAML or passes a bound), and the problems found.
    """
    builder = _Builder(file)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        tree = None if node is None else builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        return None, [*builder.problems, _yaml_problem(error, file)]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        where = Position(file, line, column)
        message = f"not valid YAML: character U+{int(error.character):04X} is not printable; remove it."
        return None, [Problem(where, "spec", message)]
    except (ValueError, OverflowError) as error:
        # PyYAML's scanner lets `"\U11111111"` and `%YAML 1.<5000 digits>` through to chr() and int().
        return None, [Problem(Position(file, 1, 1), "spec", f"not valid YAML: {error}.")]
    if tree is None and not builder.problems:
        builder.problems.append(Problem(Position(file, 1, 1), "spec", "the file is empty; a spec is a mapping."))
    return tree, builder.problems


def _position(file: str, mark: Any) -> Position:
    return Position(file, mark.line + 1, mark.column + 1)


def _yaml_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = Position(file, 1, 1) if mark is None else _position(file, mark)
    what = error.problem or error.context or "unreadable"
    if isinstance(error, _LimitError):
        return Problem(where, "spec", f"too much: {what}.")
    if "\\t" in what:
        what += "; indent with spaces"
    if what.startswith("but found another document"):
        return Problem(where, "spec", "a second document starts here; a spec is one document.")
    if error.context and error.context_mark is not None and _position(file, error.context_mark) != where:
        start = _position(file, error.context_mark)
        what += f" ({error.context} that starts at {start.line}:{start.column})"
    return Problem(where, "spec", f"not valid YAML: {what}.")


def to_plain(tree: Tree) -> Any:
    """Returns the tree as dicts, lists and scalars."""
    if isinstance(tree, Branch):
        return {key: to_plain(entry.value) for key, entry in tree.entries.items()}
    if isinstance(tree, Listing):
        return [to_plain(item) for item in tree.items]
    return tree.value


def merge(base: Tree, own: Tree) -> Tree:
    """Returns `own` laid over `base`: mappings merge key by key, everything else is replaced."""
    if not (isinstance(base, Branch) and isinstance(own, Branch)):
        return own
    entries = dict(base.entries)
    for key, entry in own.entries.items():
        entries[key] = Entry(entry.key, merge(entries[key].value, entry.value)) if key in entries else entry
    return Branch(entries, own.position)


class Found(NamedTuple):
    """The deepest part of a tree that a location leads to."""

    steps: Loc
    """The steps that exist in the tree; what a short form leaves out is missing from them."""
    path: Loc
    """The same, with list indices as written."""
    tree: Tree
    key: Position | None
    """Where the last key was written; None at the top and in lists."""


def find(tree: Tree, loc: Loc) -> Found:
    """Follows a location as far as the tree goes, passing over steps that short forms do not write down."""
    steps: list[str | int] = []
    path: list[str | int] = []
    key: Position | None = None
    for step in loc:
        if isinstance(tree, Branch) and isinstance(step, str) and step in tree.entries:
            path.append(step)
            key, tree = tree.entries[step]
        elif isinstance(tree, Listing) and isinstance(step, int) and step < len(tree.items):
            path.append(tree.numbers[step] if tree.numbers else step)
            key, tree = None, tree.items[step]
        else:
            continue
        steps.append(step)
    return Found(tuple(steps), tuple(path), tree, key)


def without(tree: Tree, steps: Loc) -> Tree | None:
    """Returns the tree less the part at `steps` (which must exist); None when that is all of it."""
    if not steps:
        return None
    head, rest = steps[0], steps[1:]
    if isinstance(tree, Branch) and isinstance(head, str):
        entry = tree.entries[head]
        kept = without(entry.value, rest)
        entries = {name: old for name, old in tree.entries.items() if name != head or kept is not None}
        if kept is not None:
            entries[head] = Entry(entry.key, kept)
        return Branch(entries, tree.position, cut=True)
    if isinstance(tree, Listing) and isinstance(head, int):
        kept = without(tree.items[head], rest)
        numbers = tree.numbers or tuple(range(len(tree.items)))
        items = (*tree.items[:head], *(() if kept is None else (kept,)), *tree.items[head + 1 :])
        if kept is None:
            numbers = (*numbers[:head], *numbers[head + 1 :])
        return Listing(items, tree.position, numbers, cut=True)
    raise KeyError(head)
