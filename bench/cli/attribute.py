"""`bench attribute RUN`: what a trained BeFA looks at in the pictures of items, before and after its adapter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, JsonOption, RunArgument, StoreOption

if TYPE_CHECKING:
    import numpy as np

    from bench.analysis.attribution import Attribution
    from bench.analysis.paired import Comparison
    from bench.data.parts import ItemParts
    from bench.store import Store
    from bench.store.records import RunRecord
    from bench.tasks.base import Sample

EXAMPLE = "bench attribute 'befa[vbpr]:scenes-items:0' --out maps.png"
SAMPLE = "attribution"
"""Name of the sample in the store, followed by the form of the maps."""
ABOUT = {
    "reliance": "1 − cos between the feature and that of the mean picture (0: the picture is not in the feature)",
    "drift": "share of the map that lies on the background",
    "omission": "share of the foreground that the map does not cover",
    "spread": "how evenly the map lies over the parts (1: all alike)",
    "covered": "share of the parts that the map covers (above half of its largest heat)",
}
BLIND = (
    "the adapter's output does not depend on the picture (reliance {:.1e} after, {:.1e} before): no p-value says what "
    "it looks at"
)
NO_MASK = "drift and omission need to know the foreground, which nobody does for the pictures of {}"

Form = Annotated[
    Literal["occlusion", "similarity", "gradient", "gradient-behaviour"],
    typer.Option(
        "--by",
        "--form",
        help="occlusion: how far the item's feature turns when a part is replaced by the mean part. similarity: how "
        "like the item's feature that of the part alone is. gradient: Grad-CAM of the feature's likeness with itself, "
        "how much of the feature a part makes up. gradient-behaviour: Grad-CAM of the feature's cosine with the item's "
        "ID embedding, how much a part brings it towards what people take.",
    ),
]


def command(
    run: RunArgument,
    *,
    form: Form = "occlusion",
    items: Annotated[int, typer.Option("--items", min=2, help="Items the numbers are over, drawn at random.")] = 400,
    shown: Annotated[int, typer.Option("--shown", min=1, max=60, help="Items on the contact sheet.")] = 12,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.png", help="Also write the contact sheet here.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Draw heat maps over the pictures of items before and after the adapter of a stored run of befa[...].

    Drift and omission where the foreground is known, with the paired difference over items, its 95 % interval and
    p-value. The contact sheet is kept in the store as a sample of the run. The maps are RECONSTRUCTED from BeFA's
    abstract.
    """
    from bench.analysis.attribution import attribution, paired
    from bench.cli.find import find_run
    from bench.data.files import write_atomic
    from bench.data.parts import item_parts
    from bench.execution.attribution import TrainedBeFA, heat_maps
    from bench.store import Store

    with Store.open(store, read_only=True) as opened:
        record = find_run(opened, run)
        trained = TrainedBeFA(record, opened)
    parts = item_parts(trained.dataset)
    chosen = choose_items(parts, trained.dataset.training().train.items, items)
    maps = heat_maps(trained, parts, chosen, form)
    foreground = None if parts.foreground is None else parts.foreground[chosen]
    found = attribution(chosen, maps.before, maps.after, maps.reliance, foreground)
    compared = paired(found, record.seed)
    sheet, texts = contact_sheet(parts, found, min(shown, len(chosen)), form, _numbers(found, compared))
    if out is not None:
        write_atomic(out, sheet.data)
    with Store.open(store) as opened:
        for sample in (sheet, texts):
            _keep(opened, record, sample)
    if as_json:
        output.emit(_plain(record, parts, found, compared, form, out))
        return
    _print(record, parts, found, compared, form, out)


def choose_items(parts: ItemParts, trained_on: np.ndarray, count: int) -> np.ndarray:
    """Returns items with a picture and a training row, at most `count`, drawn with a fixed seed, by id.

    Raises:
        UserError: No item has both.
    """
    import numpy as np

    from bench.errors import UserError

    seen = np.zeros(len(parts.pictured), dtype=bool)
    seen[trained_on] = True
    fitting = np.flatnonzero(parts.pictured & seen)
    if len(fitting) < 2:
        raise UserError(f"{len(fitting)} items have a picture and a training row, which is too few to compare.")
    drawn = np.random.default_rng(0).permutation(fitting)[:count]
    return np.sort(drawn)


def contact_sheet(
    parts: ItemParts, found: Attribution, shown: int, form: str, notes: dict[str, Any]
) -> tuple[Sample, Sample]:
    """Returns the first items with their pictures, maps, titles and numbers."""
    from bench.tasks.heatmaps import heat_sheet

    items = found.items[:shown]
    shape = (shown, parts.grid.rows, parts.grid.columns)
    maps = {"before": found.before[:shown].reshape(shape), "after": found.after[:shown].reshape(shape)}
    texts = []
    for row, item in enumerate(items.tolist()):
        numbers = [
            f"{name} {_short(before[row])} to {_short(after[row])}"
            for name, (before, after) in found.scores.items()
            if name in ("reliance", "drift", "omission")
        ]
        texts.append(f"{parts.titles[item]} (item {item}): {', '.join(numbers)}")
    return heat_sheet(f"{SAMPLE} by {form}", parts.pictures(items), maps, texts, {"form": form, **notes})


def _short(value: float) -> str:
    return "no map" if value != value else f"{value:.2f}"


def _keep(store: Store, record: RunRecord, sample: Sample) -> None:
    from bench.store.records import SampleRecord

    store.put_sample(
        SampleRecord(
            run=record.fingerprint,
            number=0,
            unit=sample.name,
            media_type=sample.media_type,
            data=sample.data,
            notes=dict(sample.notes),
        )
    )


def _numbers(found: Attribution, compared: dict[str, Comparison | None]) -> dict[str, Any]:
    import numpy as np

    numbers: dict[str, Any] = {}
    for name, result in compared.items():
        if result is None:
            numbers[name] = None
            continue
        numbers[name] = {
            "before": result.mean_a,
            "after": result.mean_b,
            "difference": result.difference,
            "interval": None if math.isnan(result.p_value) else [result.low, result.high],
            "confidence": result.confidence,
            "p_value": None if math.isnan(result.p_value) else result.p_value,
            "items": result.n,
            "items_left_out": result.dropped,
            "even_map": found.chance.get(name),
        }
    known = found.agreement[~np.isnan(found.agreement)]
    numbers["agreement"] = {"mean": float(known.mean()) if known.size else None, "items": int(known.size)}
    return numbers


def _plain(
    record: RunRecord,
    parts: ItemParts,
    found: Attribution,
    compared: dict[str, Comparison | None],
    form: str,
    out: Path | None,
) -> dict[str, Any]:
    return {
        "run": record.fingerprint,
        "method": record.method,
        "dataset": record.dataset,
        "generated": record.generated,
        "seed": record.seed,
        "form": form,
        "modality": parts.modality,
        "grid": list(parts.grid),
        "foreground_known": parts.foreground is not None,
        "depends_on_picture": not found.blind,
        "numbers": _numbers(found, compared),
        "sample": f"{SAMPLE} by {form}",
        "out": None if out is None else str(out),
    }


def _print(
    record: RunRecord,
    parts: ItemParts,
    found: Attribution,
    compared: dict[str, Comparison | None],
    form: str,
    out: Path | None,
) -> None:
    mark = " (generated)" if record.generated else ""
    grid = f"{parts.grid.rows} x {parts.grid.columns} parts"
    title = f"{record.method} on {record.dataset}{mark}, seed {record.seed}"
    output.say(f"{title} · maps by {form} · {parts.modality}, {grid}", style="bold")
    rows = []
    for name, result in compared.items():
        if result is None:
            rows.append([name, *[output.ABSENT] * 5, "0"])
            continue
        tested = [output.ABSENT] * 2
        if not math.isnan(result.p_value):
            p_value = f"{result.p_value:.4f}" if result.p_value >= 0.001 else f"{result.p_value:.1e}"
            tested = [f"[{result.low:+.4f}, {result.high:+.4f}]", p_value]
        means = [f"{result.mean_a:.4f}", f"{result.mean_b:.4f}", f"{result.difference:+.4f}"]
        rows.append([name, *means, *tested, f"{result.n:,}"])
    output.print_table(["map", "before", "after", "after − before", "95 % over items", "p", "items"], rows)
    if found.blind:
        before, after = found.scores["reliance"]
        output.say(f" {BLIND.format(after.mean(), before.mean())}.")
    for name in compared:
        chance = f"; {found.chance[name]:.4f} if it lay evenly" if name in found.chance else ""
        output.say(f" {name}: {ABOUT[name]}{chance}")
    agreement = _numbers(found, compared)["agreement"]
    if agreement["mean"] is not None:
        output.say(f" the two maps of an item agree with a rank correlation of {agreement['mean']:.3f} on average")
    for name, result in compared.items():
        if result is not None and result.dropped:
            output.say(f" {name}: {output.count(result.dropped, 'item')} left out, without a map before or after")
    if parts.foreground is None:
        output.say(f" {NO_MASK.format(record.dataset)}.")
    output.say(" One trained model: the interval is over items, not over seeds. RECONSTRUCTED from BeFA's abstract.")
    where = f" and is in {out}" if out is not None else ""
    output.say(f" The contact sheet is sample '{SAMPLE} by {form}' of run {record.fingerprint[:12]}{where}.")
