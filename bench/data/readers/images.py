"""Images out of zips and folders: decoded once, cut to one square, memory-mapped from the cache ever after."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from bench.data.files import derived_array, remembered_digest
from bench.errors import DataError, UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    Read = Callable[[str], bytes]
    Progress = Callable[[str, int, int], None]

IMAGES_VERSION = 1
"""Version of `decode`; part of every digest and cache key."""
_CHUNK = 256
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged files: its own error is an OSError, broken PNG chunks are SyntaxErrors."""


class Source(NamedTuple):
    """Where encoded images come from.

    Attributes:
        where: The zip or folder, for messages.
        digest: Of the content of all images.
        opened: Opens it: a context with a function from a name to the bytes, safe to call from several threads.
    """

    where: str
    digest: str
    opened: Callable[[], AbstractContextManager[Read]]


def decode(data: bytes, side: int) -> np.ndarray:
    """Decodes an image to (side, side, 3) uint8 RGB.

    The camera's orientation is applied, then the short side is resized to `side` (bicubic, with anti-aliasing) and the
    middle is cut out, so that shapes keep their proportions.

    Raises:
        OSError: And other errors of Pillow, where the image is damaged.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    square = ImageOps.fit(image, (side, side), method=Image.Resampling.BICUBIC, centering=(0.5, 0.5))
    return np.asarray(square, dtype=np.uint8)


def read_image(path: Path, side: int) -> np.ndarray:
    """Reads one image file that a person names, cut and resized as `decode` does; what is transparent becomes white.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        UserError: It is missing, no image, or damaged.
    """
    try:
        with Image.open(path) as opened:
            clear = ImageOps.exif_transpose(opened).convert("RGBA")
    except FileNotFoundError as error:
        raise UserError(
            f"there is no image {str(path)!r}.", hint="Give the path of a PNG, JPEG or WebP file."
        ) from error
    except _BROKEN as error:
        raise UserError(
            f"the image {str(path)!r} cannot be decoded: {_reason(error)}.",
            hint="Give a whole PNG, JPEG or WebP file.",
        ) from error
    white = Image.new("RGBA", clear.size, "white")
    image = Image.alpha_composite(white, clear).convert("RGB")
    square = ImageOps.fit(image, (side, side), method=Image.Resampling.BICUBIC, centering=(0.5, 0.5))
    return np.asarray(square, dtype=np.uint8)


def load_pixels(
    source: Source, names: Sequence[str], side: int, *, what: str, progress: Progress = lambda what, done, total: None
) -> np.ndarray:
    """Returns the decoded images, made once for a source, its names and a side, and memory-mapped from the cache.

    Args:
        source: Where they lie.
        names: Which, in order.
        side: Pixels.
        what: For `progress`, e.g. "decoding grocery train".
        progress: Called with (what, done, total).

    Returns:
        (n, side, side, 3) uint8.

    Raises:
        DataError: An image is damaged or missing; names it and leaves nothing in the cache.
    """
    shape = (len(names), side, side, 3)

    def build(path: Path) -> None:
        with path.open("wb") as stream, source.opened() as read, ThreadPoolExecutor(_threads()) as pool:
            np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})

            def one(name: str) -> bytes:
                data = read(name)
                try:
                    return decode(data, side).tobytes()
                except _BROKEN as error:
                    raise DataError(
                        f"{source.where}: image {name!r} cannot be decoded: {_reason(error)}.",
                        hint="The file is damaged: copy or download it again.",
                    ) from error

            for start in range(0, len(names), _CHUNK):
                for pixels in pool.map(one, names[start : start + _CHUNK]):
                    stream.write(pixels)
                progress(what, min(start + _CHUNK, len(names)), len(names))

    key = f"images v{IMAGES_VERSION} side {side} source {source.digest} names {_digest_of(names)}"
    return derived_array(key, shape, build, dtype=np.uint8)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the zip {str(path)!r}: {_reason(error)}.") from error
    with archive:
        yield archive


@contextmanager
def zip_reader(path: Path) -> Iterator[Read]:
    """Yields a function from a member's name to its bytes.

    Raises:
        DataError: The zip is damaged; of the function: the member is missing or damaged.
    """
    with open_zip(path) as archive:

        def read(name: str) -> bytes:
            try:
                return archive.read(name)
            except KeyError as error:
                raise DataError(f"{path} holds no {name!r}.{did_you_mean(name, archive.namelist())}") from error
            except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise DataError(f"{path}: {name!r} cannot be unpacked: {_reason(error)}.") from error

        yield read


@contextmanager
def folder_reader(folder: Path) -> Iterator[Read]:
    """Yields a function from a path inside the folder to the file's bytes.

    Raises:
        DataError: Of the function: the file cannot be read.
    """

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read the image {str(folder / name)!r}: {_reason(error)}.") from error

    yield read


def folder_digest(folder: Path, names: Sequence[str], *, what: str, progress: Progress) -> str:
    """Returns the sha256 over the names and bytes of files, remembered until a size or a time changes.

    Args:
        folder: Where they lie.
        names: Paths inside it, in order.
        what: For `progress`, e.g. "reading vireo-food172".
        progress: Called with (what, done, total) while bytes are read.

    Raises:
        DataError: A file is missing; names it.
    """
    stamps = hashlib.sha256()
    for name in names:
        try:
            stat = (folder / name).stat()
        except OSError as error:
            raise DataError(
                f"the image {str(folder / name)!r} is missing: {_reason(error)}.",
                hint="The lists name it; unpack all images.",
            ) from error
        stamps.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())

    def compute() -> str:
        digest = hashlib.sha256()
        with folder_reader(folder) as read, ThreadPoolExecutor(_threads()) as pool:
            for start in range(0, len(names), _CHUNK):
                chunk = names[start : start + _CHUNK]
                values = pool.map(lambda one: hashlib.sha256(read(one)).digest(), chunk)
                for name, value in zip(chunk, values, strict=True):
                    digest.update(name.encode() + b"\0" + value)
                progress(what, min(start + _CHUNK, len(names)), len(names))
        return digest.hexdigest()

    return remembered_digest(f"folder {folder.resolve()} {_digest_of(names)}", stamps.hexdigest(), compute)


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a UTF-8 text file without line ends, and without empty lines at the end.

    Raises:
        DataError: It is missing or not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r}: {_reason(error)}.") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_zipped_rows(path: Path, member: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the rows of a file inside a zip that holds one JSON object a line.

    Args:
        path: The zip.
        member: Name of the file in it.
        fields: What every row must have.

    Raises:
        DataError: The zip or the file is missing, a line is no JSON object, or lacks a field.
    """
    with zip_reader(path) as fetch:
        text = fetch(member)
    found = []
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        place = f"{path}, {member} line {number}"
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place}: not a JSON object: {error}.") from error
        missing = [key for key in fields if not isinstance(row, dict) or key not in row]
        if missing:
            raise DataError(f"{place} lacks {missing[0]!r}.")
        found.append(row)
    return found


def _threads() -> int:
    return min(8, os.cpu_count() or 1)


def _digest_of(names: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def _reason(error: BaseException) -> str:
    # strerror leaves the path out, which the message names already.
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).partition("<_io.")[0].rstrip(" .")
