"""Pretrained models on this disk: where they lie, and the digest of what they hold.

A spec names a model by a folder, a file, or its id in the local Hugging Face cache. What identifies it is its content:
the same files have the same digest wherever they lie and whatever their folder is called.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from bench.data.files import file_digest
from bench.errors import UserError

INCEPTION = "inception"
"""Name of the one network whose file an environment variable names."""
INCEPTION_VARIABLE = "BENCH_INCEPTION"
INCEPTION_WAY = (
    f"Set {INCEPTION_VARIABLE} to a model.safetensors of timm/inception_v3.tv_in1k (or of torchvision's weights, "
    "converted), or use world-cnn-7 in its place."
)
_READ = frozenset({".safetensors", ".json", ".txt", ".model"})
"""What a loader reads of a folder with `safetensors` files; pickles and pages for people beside them do not count."""
_places: dict[str, str] = {}


class Checkpoint(NamedTuple):
    """A pretrained model.

    Attributes:
        asked: How it was asked for.
        name: What rows and tables call it: the last part of its name and eight digits of the digest.
        digest: sha256 of its content.
    """

    asked: str
    name: str
    digest: str


def find_checkpoint(asked: str) -> Checkpoint:
    """Finds a pretrained model and takes its digest; digests of files are remembered in the cache.

    Args:
        asked: Folder or file, id of a model in the local Hugging Face cache, or `inception`.

    Raises:
        UserError: There is no such model, or nothing in it.
    """
    if asked == INCEPTION:
        place, called = _inception(), INCEPTION
    elif asked and Path(asked).exists():
        place, called = Path(asked), Path(asked).absolute().name
    else:
        place, called = _cached(asked), asked.rpartition("/")[2]
    digest = _digest(place, asked)
    return Checkpoint(asked, f"{re.sub(r'[^A-Za-z0-9_.+-]+', '-', called)}@{digest[:8]}", digest)


def remember(name: str, asked: str) -> None:
    """Notes where the model of a `Checkpoint.name` lies, for loaders in this process."""
    _places[name] = asked


def place_of(name: str) -> str:
    """Returns how to ask for the model of a name: what `remember` noted, or the name itself."""
    return _places.get(name, name)


def inception_file() -> Path:
    """Returns the file that `$BENCH_INCEPTION` names.

    Raises:
        UserError: The variable is not set.
    """
    named = os.environ.get(INCEPTION_VARIABLE, "").strip()
    if not named:
        raise UserError("feature network 'inception' needs a file of weights, and none is named.", hint=INCEPTION_WAY)
    return Path(named).expanduser()


def _inception() -> Path:
    path = inception_file()
    if not path.is_file():
        raise UserError(f"feature network 'inception': there is no file {str(path)!r}.", hint=INCEPTION_WAY)
    return path


def _cached(asked: str) -> Path:
    """Returns the folder of a model in the local Hugging Face cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        for index in ("config.json", "model_index.json"):
            found = try_to_load_from_cache(asked, index)
            if isinstance(found, str):
                return Path(found).parent
    except HFValidationError:
        pass  # a path is no valid id
    raise UserError(
        f"there is no checkpoint {asked!r}: neither a folder or file, nor a model in the local Hugging Face cache.",
        hint="Give the path of a downloaded folder, or get a hub model first: `hf download ORGANISATION/MODEL`.",
    )


def _digest(place: Path, asked: str) -> str:
    if place.is_file():
        return file_digest(place)
    inside = sorted((path.relative_to(place).as_posix(), path) for path in place.rglob("*") if path.is_file())
    shown = [(name, path) for name, path in inside if not name.startswith(".") and "/." not in name]
    read = [(name, path) for name, path in shown if path.suffix in _READ]
    if any(path.suffix == ".safetensors" for _, path in read):
        shown = read
    if not shown:
        raise UserError(f"checkpoint {asked!r} is an empty folder.", hint="Download it again, or name another one.")
    digest = hashlib.sha256()
    for name, path in shown:
        digest.update(f"{name}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()
