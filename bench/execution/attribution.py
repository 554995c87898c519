"""Heat maps of a trained BeFA: which parts of an item's picture its content feature is made of, before and after.

"Before" is the projected feature x = W z + b that a backbone would consume, "after" is what the adapter makes of it,
f = Q ⊙ y(x). A map says for each part of the picture how much the item's feature owes to it; see `Form`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn import functional

from bench.data.dataset import open_dataset
from bench.errors import UserError
from bench.execution.attribution_gradient import PlainStatistics, TracedContext, gradient_heat, trace_tables
from bench.execution.results import weights_path
from bench.execution.trained import check_kept
from bench.graph.compile import compile_view
from bench.graph.stages import parse_pipeline
from bench.methods.base import Context, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.histories import Histories
from bench.methods.layers.history_batch import HistoryBatch
from bench.methods.recommendation.befa import BeFA
from bench.training.build import build_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from bench.data.dataset import Dataset
    from bench.data.parts import ItemParts
    from bench.graph.view import View
    from bench.store import Store
    from bench.store.records import RunRecord

Form = Literal["occlusion", "similarity", "gradient", "gradient-behaviour"]
"""How a part's heat is found.

`occlusion`: H(p) = 1 − cos(v(z), v(z with part p replaced by the mean part)), v the feature before or after. The pooled
item vector passes the adapter as in training, so this needs nothing the method was not trained on.
`similarity`: cos(v(a_p), v(z)), a_p the part's own numbers in place of the item's, scaled to [0, 1] over the item's
parts. That a part passes the adapter by itself is RECONSTRUCTED: adapters are trained on pooled vectors alone.
`gradient`: ReLU(Σ_c w_c A_pc), A_p the part's own numbers and w_c the mean over parts of the gradient of the likeness
of v(z) with itself held fixed, scaled to [0, 1] over the item's parts; see `gradient_heat`. What the feature encodes.
`gradient-behaviour`: the same with the cosine of v(z) and the item's ID embedding. What preference needs.
"""


_DTYPE = torch.float64
"""Of the method while it is asked, whatever it was trained in: one part of many turns a feature only a little."""
_SAME = 1e-9
"""Cosines over an item's parts that differ by less are the same: the feature does not depend on the part."""
_SAME_SLOPE = (2 * _SAME) ** 0.5
"""The same for gradients, which are of first order where a cosine is of second: 1 − cos θ is about θ²/2."""


class Features(NamedTuple):
    """The content features of all items before and after, and their ID embeddings, (items, d) each."""

    before: Tensor
    after: Tensor
    behaviour: Tensor


class Maps(NamedTuple):
    """What heat maps are made of.

    Attributes:
        before: (n, parts) float64 heat.
        after: (n, parts) float64 heat.
        reliance: (n,) before and after: 1 − cos(v(z), v(mean item)), how far the item's feature turns when its whole
            picture is replaced by the mean one. 0 where the feature has nothing of the picture.
    """

    before: np.ndarray
    after: np.ndarray
    reliance: tuple[np.ndarray, np.ndarray]


class _FoundError(Exception):
    """Ends a call of a backbone once it has asked for the feature; what follows is not needed."""


class TrainedBeFA:
    """A stored run's method with its best weights, asked what content features it makes of any item vectors.

    Args:
        record: A finished run of `befa[...]`.
        store: Where its views are described.

    Raises:
        UserError: The run is none of BeFA, was switched off, did not finish, its weights are no longer kept, its data
            or its method's source has changed since, or its weights do not fit.
    """

    def __init__(self, record: RunRecord, store: Store) -> None:
        self.record = record
        self._entry = _entry(record)
        self.dataset = _dataset(record)
        self._weights = _weights(record)
        self._data = self.dataset.training()
        self._views = _views(record, store, self.dataset)

    def features(self, modality: str, vectors: np.ndarray | None = None) -> Features:
        """Returns what the method makes of item vectors.

        Raw tables that were trained keep what training added: the given vectors take the place of the published ones.

        Args:
            modality: Whose vectors.
            vectors: (items, dim) float32 in place of the dataset's; None for those.
        """
        given = self._data.modalities[modality]
        changed = given if vectors is None else replace(given, features=vectors.astype(np.float32))
        data = replace(self._data, modalities={**self._data.modalities, modality: changed})
        method = self._built(Context(data, self._views, _DTYPE))
        weights = dict(self._weights)
        if vectors is not None:
            _carry_over(method, weights, given.features, changed.features)
        self._load(method, weights)
        return _probe(method, modality)

    def traced(self, modality: str, vectors: Tensor) -> Features:
        """Returns what the method makes of the dataset's vectors, as functions of given ones for torch to derive.

        Args:
            modality: Whose vectors.
            vectors: (items, dim) float64 of which the features are to have a gradient; their values are not used.
        """
        given = self._data.modalities[modality].features
        with PlainStatistics():
            method = self._built(TracedContext(self._data, self._views, _DTYPE, modality, vectors))
        tables = _tables_of(method, self._weights, given)
        self._load(method, self._weights)
        trace_tables(method, tables, vectors)
        return _ask(method, modality)

    def _built(self, context: Context) -> BeFA:
        method = build_method(self._entry, self.record.config, context)
        assert isinstance(method, BeFA)  # noqa: S101 - `_entry` saw to it
        return method

    def _load(self, method: BeFA, weights: dict[str, Tensor]) -> None:
        try:
            method.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"the kept weights of run {self.record.fingerprint[:12]} do not fit: "
                f"{str(error).splitlines()[-1].strip()}",
                hint=_AGAIN,
            ) from error


_AGAIN = "Train it again: `bench export-spec RUN > again.yaml && bench run again.yaml --fresh`."


def heat_maps(trained: TrainedBeFA, parts: ItemParts, items: np.ndarray, form: Form) -> Maps:
    """Returns the heat of each part of some items' pictures before and after the adapter.

    Args:
        trained: The method.
        parts: The pictures of its dataset.
        items: (n,) item ids.
        form: See `Form`.
    """
    rows = torch.from_numpy(items.astype(np.int64))
    whole = trained.features(parts.modality)
    pooled = parts.features.mean(axis=1)
    mean_part = parts.features[parts.pictured].reshape(-1, parts.features.shape[2]).mean(axis=0)

    def cosines(vectors: np.ndarray) -> list[Tensor]:
        changed = trained.features(parts.modality, vectors)
        pairs = zip(whole[:2], changed[:2], strict=True)
        return [functional.cosine_similarity(full[rows], other[rows], dim=1) for full, other in pairs]

    if form in ("gradient", "gradient-behaviour"):
        heat = [_scaled(maps[rows], _SAME_SLOPE) for maps in _gradient_maps(trained, parts, form)]
    else:
        count = parts.features.shape[1]
        found: list[list[Tensor]] = [[], []]
        for part in range(count):
            own = parts.features[:, part]
            cosine = cosines(own if form == "similarity" else pooled + (mean_part - own) / count)
            for maps, values in zip(found, cosine, strict=True):
                maps.append(values)
        heat = [torch.stack(maps, dim=1) for maps in found]
        heat = [(1.0 - cosine).clamp(min=0.0) if form == "occlusion" else _scaled(cosine) for cosine in heat]
    without = cosines(np.broadcast_to(mean_part, pooled.shape))
    before, after = ((1.0 - cosine).clamp(min=0.0).numpy() for cosine in without)
    return Maps(heat[0].numpy(), heat[1].numpy(), (before, after))


def _gradient_maps(trained: TrainedBeFA, parts: ItemParts, form: Form) -> list[Tensor]:
    """Returns (items, parts) heat before and after, not scaled."""
    spatial = torch.from_numpy(parts.features.astype(np.float64)).requires_grad_()
    found = trained.traced(parts.modality, spatial.mean(dim=1))
    reference = found.behaviour if form == "gradient-behaviour" else None
    return [gradient_heat(spatial, features, reference) for features in (found.before, found.after)]


def _scaled(heat: Tensor, least: float = _SAME) -> Tensor:
    """Returns heat scaled to [0, 1] over parts; 0 throughout where it differs by no more than `least`."""
    low, high = heat.amin(1, keepdim=True), heat.amax(1, keepdim=True)
    width = high - low
    return torch.where(width > least, (heat - low) / torch.where(width > least, width, 1.0), 0.0)


def _entry(record: RunRecord) -> dict[str, Any]:
    name, bracket, inner = record.method.partition("[")
    run = f"run {record.fingerprint[:12]} ({record.method} on {record.dataset}, seed {record.seed})"
    if name != "befa" or not bracket:
        raise UserError(
            f"{run} is none of befa: there is no adapter before and after which maps could be drawn.",
            hint="Give a run of befa[…]; `bench report` shows what is stored.",
        )
    check_kept(record)
    if not record.config.get("enabled", True):
        raise UserError(f"{run} was trained with `enabled: false`: its adapter does nothing.")
    return {"method": name, "wrap": {"method": inner.removesuffix("]")}}


def _dataset(record: RunRecord) -> Dataset:
    dataset = open_dataset(record.dataset, protocol=record.protocol)
    if dataset.digest != record.dataset_digest:
        raise UserError(
            f"dataset {record.dataset!r} has changed since run {record.fingerprint[:12]}: its digest was "
            f"{record.dataset_digest[:12]} and is {dataset.digest[:12]}.",
            hint=_AGAIN,
        )
    return dataset


def _weights(record: RunRecord) -> dict[str, Tensor]:
    path = weights_path(record.fingerprint)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as weights: {error}", hint=_AGAIN) from error


def _views(record: RunRecord, store: Store, dataset: Dataset) -> dict[str, View]:
    views: dict[str, View] = {}
    for name, digest in record.views.items():
        stored = store.view(digest)
        if stored is None:
            raise UserError(f"view {name!r} of run {record.fingerprint[:12]} is not in the store.", hint=_AGAIN)
        compiled = compile_view(parse_pipeline(stored.pipeline), dataset.training())
        views[name] = compiled.view.to(torch.device("cpu"), _DTYPE)
    return views


def _carry_over(method: BeFA, weights: dict[str, Tensor], published: np.ndarray, changed: np.ndarray) -> None:
    """Moves trained raw tables, which a fresh method fills with the item vectors, by how those were changed."""
    moved = torch.from_numpy(np.ascontiguousarray(changed - published))
    for name in _tables_of(method, weights, changed):
        weights[name] = weights[name] + moved.to(weights[name])


def _tables_of(method: BeFA, weights: dict[str, Tensor], vectors: np.ndarray) -> list[str]:
    """Returns which weights a fresh method fills with item vectors."""
    given = torch.from_numpy(np.ascontiguousarray(vectors))
    return [
        name
        for name, value in method.state_dict().items()
        if name in weights and value.shape == given.shape and torch.equal(value, given.to(value))
    ]


@torch.no_grad()
def _probe(method: BeFA, modality: str) -> Features:
    return _ask(method, modality)


def _ask(method: BeFA, modality: str) -> Features:
    """Has the backbone ask its adapter for the content of all items, along whatever path it does."""
    method.eval()
    wrapped = method.wrapped
    assert isinstance(wrapped, ContentRecommender)  # noqa: S101 - an adapter that is switched on wraps no other
    names = wrapped.content_names()
    # A backbone that projects all modalities at once asks for them under one name.
    wanted = modality if modality in names else names[0] if len(names) == 1 else None
    if wanted is None:
        raise UserError(f"{type(wrapped).__name__} consumes no modality {modality!r}; it consumes {', '.join(names)}.")
    found: list[Features] = []

    def listen(name: str, projected: Tensor, item_table: Tensor) -> Tensor:
        adapted = method.adapt(name, projected, item_table)
        # Some paths ask for the items of a batch only; the whole table comes in order.
        if name == wanted and item_table.shape == wrapped.items.shape and torch.equal(item_table, wrapped.items):
            found.append(Features(projected, adapted, item_table))
            raise _FoundError
        return adapted

    wrapped.content_adapter = listen
    try:
        for path in (wrapped.begin_scoring, lambda: wrapped.loss(_everything(wrapped))):
            _until_found(path)
            if found:
                return found[0]
    finally:
        wrapped.content_adapter = method.adapt
    raise UserError(f"{type(wrapped).__name__} asks its adapter neither in scoring nor in its loss for all items.")


def _until_found(path: Callable[[], object]) -> None:
    try:
        path()
    except _FoundError:
        return


def _everything(wrapped: ContentRecommender) -> Any:
    """Returns a batch in which every item occurs, in the order of their ids."""
    items = torch.arange(wrapped.n_items)
    if wrapped.batches_of == "histories":
        indptr = torch.tensor([0, wrapped.n_items])
        return HistoryBatch(torch.zeros(1, dtype=torch.int64), Histories(indptr, items))
    return PairBatch(items % wrapped.n_users, items, items)
