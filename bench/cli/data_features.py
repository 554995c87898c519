"""`bench data features`: appearance and motion features of a dataset's frames, by any vision backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import output
from bench.cli.options import JsonOption
from bench.cli.progress import ProgressBar

EXAMPLE = "bench data features daquar --backbone ./dinov2-small --out features.h5"


def features(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A dataset of questions, e.g. daquar.")],
    *,
    backbone: Annotated[
        str, typer.Option(help="Folder of a transformers vision checkpoint, or its id on the Hugging Face hub.")
    ],
    out: Annotated[
        Path, typer.Option(help="The HDF5 file; named features.h5 in the dataset's folder, it is used from then on.")
    ],
    frames: Annotated[
        Path | None, typer.Option(help="Folder with a folder of pictures for each video, where the dataset has none.")
    ] = None,
    clips: Annotated[int, typer.Option(help="Clips of a video, with --frames.", min=1)] = 8,
    length: Annotated[int, typer.Option(help="Frames of a clip, with --frames.", min=1)] = 16,
    device: Annotated[str, typer.Option(help="cpu, or cuda where there is one.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Turn frames into appearance and motion features, in HCRN's HDF5 layout."""
    from bench.data.features.run import extract_features

    with ProgressBar() as bar:
        shapes = extract_features(
            id_, backbone=backbone, out=out, frames=frames, clips=clips, length=length, device=device, progress=bar
        )
    if as_json:
        output.emit({"dataset": id_, "path": out, **shapes})
    else:
        output.say(f"features of {id_} are in {out}: appearance {shapes['appearance']}, motion {shapes['motion']}")
