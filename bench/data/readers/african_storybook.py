"""African Storybook: pages of picture stories from one zip, cut into windows of four pages.

Illustrations are used again in other stories: stories that share an image stay in one part. One such cluster holds more
than half of the stories and goes to training.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from bench.data.files import file_digest
from bench.data.readers.captions import StoryPart, stories_content, story_pixels
from bench.data.readers.groups import Groups
from bench.data.readers.images import Source, read_zipped_rows, zip_reader
from bench.data.readers.questions import grouped
from bench.data.readers.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.data.content import Content, Request

ARCHIVE, META = "asp_en_128.zip", "meta.jsonl"
READER_VERSION = 1
SEED = "african-storybook 1"
SHARES = {"test": 0.33, "valid": 0.22, "train": 1.0}
"""Of the clusters of at most `LARGEST` stories."""
LARGEST = 10
FRAMES = 4


class Page(NamedTuple):
    """One page.

    Attributes:
        story: Number of its story.
        page: From 1.
        file: Its image in the zip.
        text: As printed; may be empty.
    """

    story: str
    page: int
    file: str
    text: str


def read(request: Request) -> Content:
    """Reads windows of four successive pages that all have words.

    Training has every window; validation and test have windows that share no page.

    Raises:
        DataError: The zip, `meta.jsonl` or an image is damaged.
    """
    assert request.folder is not None  # noqa: S101 - published data has a folder
    path = request.folder / ARCHIVE
    source = Source(str(path), file_digest(path), lambda: zip_reader(path))
    pages = read_meta(path)
    with zip_reader(path) as fetch:
        parts = split(pages, {page.file: _digest(fetch, page.file) for page in pages})
    found = {}
    for part, stories in parts.items():
        cut = [window for story in stories for window in windows(story, step=1 if part == "train" else FRAMES)]
        found[part] = StoryPart(
            ids=[f"{window[0].story}-{window[0].page:02d}" for window in cut],
            captions=[[" ".join(page.text.split()) for page in window] for window in cut],
            frames=story_pixels(request, source, [[page.file for page in window] for window in cut], part),
        )
    return stories_content(
        request,
        found,
        identity={"reader": READER_VERSION, "seed": SEED, "images": source.digest},
        sizes={"stories": len({page.story for page in pages}), "pages": len(pages)},
        notes={"stories_by_part": {part: len(stories) for part, stories in parts.items()}},
    )


def read_meta(path: Path) -> list[Page]:
    """Reads `meta.jsonl`, in the order of stories and pages.

    Raises:
        DataError: It is missing, a line is no JSON object, or lacks a field.
    """
    rows = read_zipped_rows(path, META, ("story", "page", "file", "text"))
    return sorted(Page(str(row["story"]), int(row["page"]), row["file"], row["text"]) for row in rows)


def split(pages: Sequence[Page], digests: Mapping[str, str]) -> dict[str, list[list[Page]]]:
    """Splits stories so that no image is in two parts.

    Args:
        pages: Of all stories.
        digests: Content of each image file.

    Returns:
        Part to its stories, each a list of pages.
    """
    linked = Groups()
    stories: dict[str, list[Page]] = {}
    for page in pages:
        stories.setdefault(page.story, []).append(page)
        linked.link(f"story {page.story}", f"image {digests[page.file]}")
    clusters: dict[str, list[str]] = {}
    for story in stories:
        clusters.setdefault(linked.of(f"story {story}"), []).append(story)
    # Named by their first story, so that the draw depends on the stories alone.
    named = {min(members): members for members in clusters.values()}
    small = [name for name, members in named.items() if len(members) <= LARGEST]
    parts = grouped(small, seed=SEED, shares=SHARES)
    parts["train"] = [*parts["train"], *(name for name in named if name not in set(small))]
    return {
        part: [stories[story] for story in sorted(story for name in parts[part] for story in named[name])]
        for part in ("train", "valid", "test")
    }


def windows(story: Sequence[Page], *, step: int) -> list[list[Page]]:
    """Cuts a story into windows of four successive pages with words, which begin `step` pages apart."""
    runs: list[list[Page]] = [[]]
    for page in story:
        if not words(page.text):
            runs.append([])
        else:
            runs[-1].append(page)
    return [list(run[start : start + FRAMES]) for run in runs for start in range(0, len(run) - FRAMES + 1, step)]


def _digest(fetch: Callable[[str], bytes], name: str) -> str:
    return hashlib.sha256(fetch(name)).hexdigest()
