"""Files that readers see whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a neighbour to write, which takes a file's place when the block succeeds.

    Readers see the old file or the whole new one, also after a power cut; nothing is left behind when the block fails.
    A new file gets the mode that any new file would have, and one that is replaced keeps its own.

    Args:
        path: The file; its folder is there already.

    Raises:
        OSError: The disk is full, or the folder does not exist or cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file as `replacing` does.

    Raises:
        OSError: See `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
