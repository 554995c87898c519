"""`DatasetCard`: everything worth knowing about a dataset before a byte of it is read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.data.protocols import PROTOCOLS

Layout = Literal["bench", "mmrec", "published", "generated"]
"""How files are named: `bench` is interactions.parquet and friends, `mmrec` is <name>.inter and friends, `published` is
what the card's own reader reads."""


class CardModel(BaseModel):
    """Base of the parts of a card: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataFile(CardModel):
    """One file of a dataset."""

    path: str = Field(min_length=1)
    """Path inside the dataset's folder."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Known checksum; None when nobody published one that could be checked."""
    url: str | None = Field(default=None, pattern="^https?://")
    """Where `bench data get` downloads it from; None when no stable public address is known."""

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/"):
            raise ValueError(f"path must lie inside the dataset's folder, but got {path!r}")
        return path


class Sizes(CardModel):
    """Published counts."""

    users: int = Field(gt=0)
    items: int = Field(gt=0)
    rows: int = Field(gt=0)
    """Interactions of all splits together."""
    splits: dict[str, tuple[int, int, int]] = Field(default_factory=dict)
    """Split rule (`mmrec` or `shipped`) to (train, valid, test) rows, before cold users are dropped."""


class ModalityCard(CardModel):
    """One kind of content and the files it may lie in."""

    dim: int = Field(gt=0)
    """Width of the published raw vectors; side of images in pixels; words of a text's vocabulary."""
    description: str = Field(min_length=1)
    """What the vectors are and which encoder made them."""
    features: tuple[str, ...] = ()
    """File names of the raw vectors, first match wins."""
    neighbours: str | None = None
    """File of item-to-item neighbour rows, used when no raw vectors are present."""
    preprocess: Literal["none", "standardise"] = "none"
    """`standardise`: every column to mean 0 and standard deviation 1 before any method sees it."""
    required: tuple[Layout, ...] = ()
    """Layouts that ship this modality, so that its absence is an error there and not a property of the data."""


class DatasetCard(CardModel):
    """What a dataset is, where it comes from, how it is split, under which terms, and what is odd about it."""

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1)
    family: Literal["recommendation", "classification", "generation", "vqa"]
    tasks: tuple[str, ...] = Field(min_length=1)
    """Tasks the dataset can be used for."""
    description: str = Field(min_length=1)
    source: str = Field(min_length=1)
    """Who published the data, and how these files were made from it."""
    licence: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    generated: bool = False
    """Whether the data is drawn by a generator; marked as such wherever a result is shown."""
    twin: str | None = None
    """Generated dataset that may stand in, under its own name, where the spec allows it."""
    protocols: tuple[str, ...] = Field(min_length=1)
    """Names of the protocols that make sense here; the first is the default."""
    modalities: dict[str, ModalityCard] = Field(default_factory=dict)
    files: tuple[DataFile, ...] = ()
    """Files with a known checksum or address; others may lie beside them."""
    known_issues: tuple[str, ...] = ()
    """Oddities of the published files that a reader of results must know."""

    @model_validator(mode="after")
    def _fits(self) -> DatasetCard:
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        if unknown:
            raise ValueError(f"unknown protocols {unknown}; known: {sorted(PROTOCOLS)}")
        if self.generated and self.twin is not None:
            raise ValueError("a generated dataset has no twin")
        return self

    @property
    def default_protocol(self) -> str:
        """Name of the protocol used when a spec names none."""
        return self.protocols[0]

    @property
    def counts(self) -> dict[str, int]:
        """Published sizes by what is counted, for lists."""
        return {}


class InteractionCard(DatasetCard):
    """A dataset of interactions between users and items."""

    family: Literal["recommendation"]
    sizes: Sizes
    mmrec_labels: tuple[Layout, ...] = ()
    """Layouts whose shipped split labels were drawn by MMRec's rule, so that `mmrec` protocols use and check them."""
    duplicates: Literal["error", "first"] = "error"
    """What repeated (user, item) rows mean: a damaged file, or a documented habit of which the first row counts."""
    cold_users: Literal["error", "drop"] = "error"
    """What a user with validation or test rows but no training row means: a damaged file, or rows to leave out."""

    @property
    def counts(self) -> dict[str, int]:
        """Users, items and interactions."""
        return {"users": self.sizes.users, "items": self.sizes.items, "rows": self.sizes.rows}


class ContentCard(DatasetCard):
    """A dataset that its own reader reads: images, videos, stories, questions."""

    reader: str = Field(pattern=r"^[\w.]+:\w+$")
    """`module:function` that takes a `bench.data.content.Request` and returns a `Content`."""
    folder: str | None = None
    """Name of the folder that holds the files, where it is not the dataset's: two datasets may read one folder."""
    markers: tuple[str, ...] = ()
    """Files of which any one tells that a folder holds the dataset; none for generated data."""
    sizes: dict[str, int] = Field(default_factory=dict)
    """Published counts: train, valid, test and what else matters; of generated data those at scale 1."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the reader needs to know besides."""

    @model_validator(mode="after")
    def _can_be_found(self) -> ContentCard:
        if bool(self.markers) == self.generated:
            raise ValueError("markers tell where published files lie; generated data has none")
        return self

    @property
    def counts(self) -> dict[str, int]:
        """Published counts."""
        return dict(self.sizes)
