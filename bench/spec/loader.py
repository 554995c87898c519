"""From a YAML file to a `Spec`, or to every problem of the file at once, each with its place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from pydantic import ValidationError

from bench.errors import did_you_mean
from bench.spec.messages import describe, keys_at
from bench.spec.models import Spec
from bench.spec.problems import InvalidSpecError, Loc, Position, Problem, format_path, in_order, shown
from bench.spec.rules import inner_problems
from bench.spec.tree import FLOAT, INT, MAX_BYTES, Branch, Listing, Tree, find, merge, read_tree, to_plain, without

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILES = 16
_SUFFIXES = (".yaml", ".yml")
_PRUNING_ROUNDS = 50


@dataclass(frozen=True)
class LoadedSpec:
    """A valid spec and where it came from.

    Attributes:
        spec: The values, `extends` resolved.
        text: The YAML of the file as the user wrote it.
        path: The file.
        tree: Every key and value with its position.
        files: The file and those it extends, in the order read.
    """

    spec: Spec
    text: str
    path: Path
    tree: Tree
    files: tuple[Path, ...] = ()

    def locate(self, loc: Loc, *, key: bool = False) -> Position:
        """Returns where the value (or the key) at a location was written, or its nearest enclosing part.

        Args:
            loc: Keys and indices as in `spec`: `("experiments", 0, "methods", 2, "set", "dim")`.
            key: Whether the key is asked for rather than the value.
        """
        found = find(self.tree, loc)
        return found.key if key and found.key is not None else found.tree.position


class Draft(NamedTuple):
    """What could be read of a spec that may have problems."""

    tree: Tree | None
    """All of it, as written."""
    pruned: Tree | None
    """The part that is valid by itself; what checks against the world can still look at."""
    spec: Spec | None
    """That part as values."""
    problems: list[Problem]
    unread: frozenset[Position]
    """Where nothing could be read; what the checks say of these places is void."""
    text: str
    path: Path
    files: tuple[Path, ...]

    def loaded(self) -> LoadedSpec:
        """Returns the spec.

        Raises:
            InvalidSpecError: There are problems.
        """
        if self.problems or self.spec is None or self.tree is None:
            raise InvalidSpecError(self.problems)
        return LoadedSpec(self.spec, self.text, self.path, self.tree, self.files)


def load_spec(path: str | os.PathLike[str]) -> LoadedSpec:
    """Reads a spec from a file. Whether its names exist is `check.check_spec`'s question.

    Raises:
        InvalidSpecError: The file cannot be read, is not YAML, or is not a spec; carries all problems.
    """
    return read_draft(path).loaded()


def parse_spec(text: str, *, name: str = "spec.yaml", folder: str | os.PathLike[str] = ".") -> LoadedSpec:
    """Reads a spec from text, as if it were the file `name` in `folder`.

    Raises:
        InvalidSpecError: The text is not a spec; carries all problems.
    """
    reader = _Reader()
    return _draft(reader, reader.extended(text, Path(folder) / name, name, ()), text, Path(folder) / name).loaded()


def read_draft(path: str | os.PathLike[str]) -> Draft:
    """Reads what can be read of a spec; the problems are in the draft."""
    path = Path(path)
    reader = _Reader()
    text = reader.text(path, str(path), Position(str(path), 1, 1), ())
    tree = None if text is None else reader.extended(text, path, str(path), ())
    return _draft(reader, tree, text or "", path)


def _draft(reader: _Reader, tree: Tree | None, text: str, path: Path) -> Draft:
    problems, files = reader.problems, tuple(reader.files)
    if tree is None:
        return Draft(None, None, None, in_order(problems), frozenset(), text, path, files)
    if not isinstance(tree, Branch):
        message = f"a spec is a mapping, but got {shown(to_plain(tree))}; start with `version: 1`."
        problems.append(Problem(tree.position, "spec", message))
        return Draft(None, None, None, in_order(problems), frozenset(), text, path, files)
    tree = Branch({key: entry for key, entry in tree.entries.items() if not key.startswith("x-")}, tree.position)
    unread = frozenset(problem.position for problem in problems)
    spec, pruned, found = _validated(tree)
    if spec is not None:
        found += inner_problems(spec, tree, pruned)
    problems += [problem for problem in found if problem.position not in unread]
    return Draft(tree, pruned, spec, in_order(problems), unread, text, path, files)


def _validated(tree: Tree) -> tuple[Spec | None, Tree, list[Problem]]:
    """Validates a tree; on problems, also the largest part of it that is valid when they are cut out."""
    problems: list[Problem] = []
    pruned: Tree | None = tree
    for round_number in range(_PRUNING_ROUNDS):
        if pruned is None:
            break
        try:
            return Spec.model_validate(to_plain(pruned)), pruned, problems
        except ValidationError as error:
            errors = [dict(item) for item in error.errors(include_url=False) if not _only_counts_the_valid(dict(item))]
        if round_number == 0:
            problems = [_problem(tree, item) for item in errors]
        pruned = _pruned(pruned, errors)
    return None, tree, problems


def _only_counts_the_valid(error: dict[str, Any]) -> bool:
    """Whether a list is called too short only because Pydantic does not count its invalid items."""
    return bool(error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"])


def _pruned(tree: Tree, errors: list[dict[str, Any]]) -> Tree | None:
    # From the back, so that list indices before the cut keep their meaning.
    cuts = {find(tree, error["loc"][:-1] if error["type"] == "missing" else error["loc"]).steps for error in errors}
    kept: Tree | None = tree
    for steps in sorted(cuts, key=lambda cut: [(isinstance(s, str), s) for s in cut], reverse=True):
        if kept is None or find(kept, steps).steps != steps:
            continue
        kept = without(kept, steps)
    return kept


def _problem(tree: Tree, error: dict[str, Any]) -> Problem:
    loc: Loc = error["loc"]
    found = find(tree, loc)
    known = keys_at(Spec, loc[:-1])
    if error["type"] == "missing":
        return Problem(found.tree.position, format_path(found.path), f"required key {shown(loc[-1])} is missing.")
    at_key = error["type"] == "extra_forbidden" or loc[-1:] == ("[key]",)
    position = found.key if at_key and found.key is not None else found.tree.position
    return Problem(position, format_path(found.path), describe(error, known))


class _Reader:
    """Reads a file and those it extends."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.files: list[Path] = []

    def text(self, path: Path, shown_as: str, asked_at: Position, loc: Loc) -> str | None:
        """Returns a file's text, or None after noting why there is none."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            folder = path.parent
            near = did_you_mean(path.name, (p.name for s in _SUFFIXES for p in folder.glob(f"*{s}")))
            self._refuse(asked_at, loc, f"there is no file {shown_as!r}.{near}")
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._refuse(asked_at, loc, f"{shown_as!r} cannot be read: {reason}.")
            return None
        if len(data) > MAX_BYTES:
            self._refuse(asked_at, loc, f"{shown_as!r} is larger than {MAX_BYTES // 1024} KiB; a spec is not.")
            return None
        self.files.append(path)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8-sig", errors="replace")
            column = len(before) - (before.rfind("\n") + 1) + 1
            where = Position(shown_as, before.count("\n") + 1, column)
            self._refuse(where, (), f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8.")
            return None

    def _refuse(self, position: Position, loc: Loc, message: str) -> None:
        self.problems.append(Problem(position, format_path(loc), message))

    def extended(self, text: str, path: Path, shown_as: str, chain: tuple[str, ...]) -> Tree | None:
        """Returns a file's tree laid over those of the files it extends."""
        own, problems = read_tree(text, shown_as)
        self.problems += problems
        if not isinstance(own, Branch) or "extends" not in own.entries:
            return own
        chain = (*chain, _identity(path))
        wanted = own.entries["extends"].value
        rest = {key: entry for key, entry in own.entries.items() if key != "extends"}
        tree: Tree = Branch({}, own.position)
        for loc, item in _listed(wanted):
            base = self._base(item, loc, path, shown_as, chain)
            if isinstance(base, Branch):
                tree = merge(tree, base)
            elif base is not None:
                self._refuse(base.position, (), f"a spec is a mapping, but got {shown(to_plain(base))}.")
        return merge(tree, Branch(rest, own.position))

    def _base(self, item: Tree, loc: Loc, path: Path, shown_as: str, chain: tuple[str, ...]) -> Tree | None:
        name = to_plain(item)
        if not isinstance(name, str) or not name.endswith(_SUFFIXES):
            what = f"got {shown(name)}; `extends` takes the name of a .yaml file, or a list of them."
            self._refuse(item.position, loc, what)
            return None
        target = path.parent / name
        # Shown beside the file that asks, as the user named that one.
        display = os.path.normpath(Path(shown_as).parent / name)
        if _identity(target) in chain:
            self._refuse(item.position, loc, f"{display!r} extends itself, directly or through others.")
        elif len(self.files) >= MAX_FILES:
            self._refuse(item.position, loc, f"a spec may extend at most {MAX_FILES - 1} files.")
        else:
            text = self.text(target, display, item.position, loc)
            return None if text is None else self.extended(text, target, display, chain)
        return None


def _identity(path: Path) -> str:
    return os.path.realpath(path)


def _listed(wanted: Tree) -> list[tuple[Loc, Tree]]:
    if isinstance(wanted, Listing):
        return [(("extends", index), item) for index, item in enumerate(wanted.items)]
    return [(("extends",), wanted)]


class _Dumper(yaml.SafeDumper):
    """Quotes the text that YAML 1.2 would read as a number and PyYAML's YAML 1.1 would not."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", INT, list("-+0123456789"))


def to_yaml(spec: Spec) -> str:
    """Returns a spec as YAML text that `parse_spec` reads back to an equal spec."""
    text: str = yaml.dump(written(spec), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def written(spec: Spec) -> dict[str, Any]:
    """Returns a spec as it would be written: short forms where they say all, unused keys of methods left out."""
    raw: dict[str, Any] = spec.model_dump(mode="json")
    for experiment in raw["experiments"]:
        experiment["datasets"] = [_short(entry, "dataset") for entry in experiment["datasets"]]
        experiment["methods"] = [_short_method(entry) for entry in experiment["methods"]]
    for budget in raw["budgets"].values():
        del budget["name"]
    return raw


def _short(entry: Mapping[str, Any], only: str) -> Any:
    kept = {key: value for key, value in entry.items() if value not in (None, {})}
    return kept[only] if set(kept) == {only} else kept


def _short_method(entry: Mapping[str, Any]) -> Any:
    wrap = entry["wrap"]
    if isinstance(wrap, list):
        wrap = [_short_method(inner) for inner in wrap]
    elif isinstance(wrap, dict):
        wrap = _short_method(wrap)
    return _short({**entry, "wrap": wrap}, "method")
