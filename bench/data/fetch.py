"""`bench data get`: downloads that resume, are checked before they count, and appear whole or not at all."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

from bench.data.files import cannot_write, locked, stream_digest, write_atomic
from bench.data.paths import cached_data_folder
from bench.data.registry import resolve_dataset
from bench.errors import DataError, DownloadError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from bench.data.card import DataFile

    Progress = Callable[[str, int, int], None]

RECORD = "downloads.json"
"""File beside the downloads that says where each came from and whether its checksum was known."""
_BLOCK = 1 << 16
_TIMEOUT_S = 30.0
_ATTEMPTS = 3


class _Answer(NamedTuple):
    """What one request brought."""

    complete: bool
    why: str


def fetch_dataset(id: str, *, allow_unverified: bool = False, progress: Progress | None = None) -> Path:
    """Downloads the files a card declares an address for into the cache, and returns the folder.

    A file that is there with the right checksum is kept, a partial one (`.part`) is resumed. A file takes its place
    only after its checksum was compared.

    Args:
        id: Name of a dataset that is not generated.
        allow_unverified: Also take files whose card knows no checksum; that is recorded beside them.
        progress: Called with (file, bytes done, bytes in all or 0 when unknown).

    Raises:
        UnknownNameError: No card has the name.
        UserError: The dataset is generated or has no address, or a file has no checksum.
        DownloadError: The server refused or broke off, or the checksum is not the card's.
        DataError: The disk is full or the cache cannot be written.
    """
    dataset, card = resolve_dataset(id)
    if card.generated:
        raise UserError(f"dataset {card.name!r} is generated, not downloaded.", hint=f"Run `bench data make {id}`.")
    wanted = [file for file in card.files if file.url is not None]
    if not wanted:
        raise UserError(
            f"the card of {card.name!r} declares no download address: {card.source}.",
            hint=f"Put the files into {card.name}/ in a folder and set BENCH_DATA to that folder.",
        )
    unknown = [file.path for file in wanted if file.sha256 is None]
    if unknown and not allow_unverified:
        raise UserError(
            f"the card of {card.name!r} knows no checksum for {', '.join(unknown)}: a download could not be verified.",
            hint="Pass allow_unverified (`--allow-unverified`) to take them as they come; the results will say so.",
        )
    folder = cached_data_folder(dataset)
    with locked(f"download {dataset}"):
        for file in wanted:
            _fetch_file(file, folder, progress or (lambda what, done, total: None))
        _record(wanted, folder)
    return folder


def unverified_files(folder: Path) -> list[str]:
    """Returns the files of a folder that were downloaded without a known checksum."""
    try:
        entries = json.loads((folder / RECORD).read_bytes())
        return [str(entry["path"]) for entry in entries if not entry["verified"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / RECORD} cannot be read: {error}.", hint="Delete it and download again.") from error


def _fetch_file(file: DataFile, folder: Path, progress: Progress) -> None:
    target = folder / file.path
    part = target.with_name(target.name + ".part")
    if target.is_file() and (file.sha256 is None or stream_digest(target) == file.sha256):
        return
    with cannot_write(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    why = ""
    for _ in range(_ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        answer = _request(file, part, progress)
        if answer.complete:
            break
        why = answer.why
        if (part.stat().st_size if part.is_file() else 0) <= before:
            # Nothing arrived: asking again would bring the same.
            raise _broken(file, part, why)
    else:
        raise _broken(file, part, why)
    found = stream_digest(part)
    if file.sha256 is not None and found != file.sha256:
        part.unlink()
        raise DownloadError(
            f"{file.url} arrived with sha256 {found}, but the card says {file.sha256}; the file was removed.",
            hint="Try again; if it stays so, the published file has changed and the card must not be trusted for it.",
        )
    with cannot_write(target):
        part.replace(target)


def _broken(file: DataFile, part: Path, why: str) -> DownloadError:
    have = f" {part.stat().st_size:,} bytes are kept and the same command resumes." if part.is_file() else ""
    return DownloadError(f"the download of {file.url} broke off: {why}.{have}", hint="Run the same command again.")


def _request(file: DataFile, part: Path, progress: Progress) -> _Answer:
    """Asks once for what is missing and appends it to the `.part` file.

    Raises:
        DownloadError: The server answered with an error.
        DataError: The disk is full.
    """
    assert file.url is not None  # noqa: S101 - the caller chose files with an address
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "multimodal-bench", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(file.url, headers=headers)  # noqa: S310 - the card allows http and https only
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
            start = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length is not None else 0
            with cannot_write(part):
                stream = part.open("ab" if resumed else "wb")
            with stream:
                done = _copy(response, stream, part, start, total, file, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            # All of it was there already; the checksum decides whether it is the right file.
            return _Answer(True, "")
        raise DownloadError(
            f"{file.url} answered {error.code} {error.reason}.",
            hint="The address may have moved; put the files under $BENCH_DATA by hand.",
        ) from error
    except urllib.error.URLError as error:
        return _Answer(False, str(error.reason))
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        return _Answer(False, str(error) or type(error).__name__)
    if total and done < total:
        return _Answer(False, f"{done:,} of {total:,} bytes arrived")
    return _Answer(True, "")


def _copy(
    response: http.client.HTTPResponse,
    stream: BinaryIO,
    part: Path,
    done: int,
    total: int,
    file: DataFile,
    progress: Progress,
) -> int:
    while block := response.read(_BLOCK):
        with cannot_write(part):
            stream.write(block)
            stream.flush()
        done += len(block)
        progress(file.path, done, total)
    return done


def _record(files: list[DataFile], folder: Path) -> None:
    entries = [
        {
            "path": file.path,
            "url": file.url,
            "sha256": stream_digest(folder / file.path),
            "verified": file.sha256 is not None,
        }
        for file in files
    ]
    write_atomic(folder / RECORD, json.dumps(entries, indent=1).encode())
