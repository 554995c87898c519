"""`bench sample RUN --prompt "…"`: images of a stored run's trained method, as a PNG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import output
from bench.cli.options import DEFAULT_STORE, DeviceOption, JsonOption, RunArgument, StoreOption

if TYPE_CHECKING:
    from bench.store import Store
    from bench.store.records import RunRecord
    from bench.tasks.sampling import Made

EXAMPLE = """bench sample galip:emoji:0 --prompt "red heart" --prompt "grinning cat" --n 4 --out hearts.png

Change an image: bench sample denet:emoji-edits:0 --image face.png --prompt "woman dark skin tone"

Tell a story, one prompt a frame: bench sample storyimager:shapes-stories:0 --prompt "ada the green star jumps in the
middle on a grey ground" --prompt "ada stands at the left" --prompt "ada stands at the right" --prompt "ada jumps at
the right"; its first frames may be given by --image"""
FAMILY = "generation"


def command(
    run: RunArgument,
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="TEXT",
            help="What to draw; may be repeated. For a story one for each frame, in order. Of each the first 2,000 "
            "characters and 64 words are read (some methods read fewer).",
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            metavar="FILE",
            help="The image to edit, or the first frame of a story (repeat it for more). Cut to a square and resized.",
        ),
    ] = None,
    number: Annotated[int, typer.Option("--n", metavar="N", help="Images of each prompt, or stories; up to 16.")] = 1,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the noise: equal seeds, equal images.")
    ] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="Where the picture goes.")] = Path(
        "sample.png"
    ),
    plain: Annotated[
        bool, typer.Option("--plain", help="Only the images, edge to edge at their own size, without their prompts.")
    ] = False,
    device: DeviceOption = "auto",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Draw prompts with the trained method of a stored run of generation.

    The weights are those of the run's best epoch. They are kept on the machine that made the run, the newest up to
    $BENCH_KEEP_WEIGHTS_GB (5). Prompts are printed beside the images. Words that training never saw mean nothing and
    are named.
    """
    import numpy as np

    from bench.cli.find import find_run
    from bench.data.files import write_atomic
    from bench.data.readers.images import read_image
    from bench.store import Store
    from bench.tasks.sampling import Asked, check_request, make

    _check_out(out)
    prompts, images = prompt or [], image or []
    with Store.open(store, read_only=True) as opened:
        record = find_run(opened, run)
        _check_family(record, opened)
    check_request(record.task, prompts=len(prompts), images=len(images), number=number)
    for file in images:
        # A file that is no image is told before the data and the weights are loaded.
        read_image(file, 8)
    # Imported here: torch takes seconds, which a mistyped name should not.
    from bench.execution.trained import trained_method
    from bench.training.build import resolve_device

    trained = trained_method(record, device=resolve_device(device))
    side = trained.data.side
    given = np.stack([read_image(file, side) for file in images]) if images else np.empty((0, side, side, 3), np.uint8)
    made = make(trained.method, trained.data, Asked(prompts, given, number, seed))
    write_atomic(out, made.plain if plain else made.sheet)
    notices = [*trained.notices, *made.notices]
    for notice in notices:
        output.warn(notice)
    if as_json:
        output.emit(_plain(record, made, prompts, seed, out, notices))
        return
    rows, columns = made.pixels.shape[:2]
    what = output.count(rows, "story").replace("storys", "stories") if record.task == "story" else None
    what = what or output.count(rows * columns, "image")
    output.say(f"{what} by {record.method} trained on {record.dataset}, seed {seed}, {made.seconds:.3f} s each: {out}")


def _check_out(out: Path) -> None:
    from bench.errors import UserError

    if out.suffix.lower() != ".png":
        raise UserError(f"--out {str(out)!r} is no PNG.", hint=f"Write {str(out.with_suffix('.png'))!r}.")


def _check_family(record: RunRecord, store: Store) -> None:
    """Refuses runs that make no images."""
    from bench.errors import UserError

    if record.family == FAMILY:
        return
    makers = dict.fromkeys(f"{run.method}:{run.dataset}:{run.seed}" for run in store.runs(family=FAMILY, status="done"))
    known = f"Runs that do: {', '.join(list(makers)[:6])}{', ...' if len(makers) > 6 else ''}."
    raise UserError(
        f"run {record.fingerprint[:12]} ({record.method} on {record.dataset}) is of task {record.task!r}, which makes "
        "no images.",
        hint=known if makers else "None is stored yet: `bench run specs/generation_all.yaml`.",
    )


def _plain(
    record: RunRecord, made: Made, prompts: list[str], seed: int, out: Path, notices: list[str]
) -> dict[str, Any]:
    rows, columns, side = made.pixels.shape[:3]
    return {
        "run": record.fingerprint,
        "method": record.method,
        "dataset": record.dataset,
        "generated": record.generated,
        "file": out,
        "prompts": prompts,
        "rows": rows,
        "columns": columns,
        "side": side,
        "seed": seed,
        "seconds_per_image": made.seconds if math.isfinite(made.seconds) else None,
        "notices": notices,
    }
