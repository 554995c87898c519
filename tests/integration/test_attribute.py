"""`bench attribute` on runs that `bench run` made: numbers, contact sheet, and what it says when it cannot."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from safetensors.torch import load, save
from typer.testing import CliRunner

from bench.cli.app import build
from bench.execution.results import weights_path
from bench.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SPEC = """
version: 1
name: looks
experiments:
  - task: recommendation
    datasets: [scenes-items@0.1, baby-twin@0.01]
    methods:
      - vbpr
      - method: befa
        set: {id_product: false}
        wrap: {method: vbpr, set: {lr: 0.01, batch_size: 256}} # gates that tell pictures apart after three epochs
      - {method: befa, set: {enabled: false}, wrap: bm3}
    metrics: [recall@20]
    select: recall@20
budgets:
  short: {trials: 0, epochs: 3, seeds: [0]}
"""
RUN = "befa[vbpr]:scenes-items@0.1:0"
runner = CliRunner()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looks")
    (folder / "looks.yaml").write_text(SPEC, "utf-8")
    store = folder / "results.db"
    done = runner.invoke(build(), ["run", str(folder / "looks.yaml"), "--store", str(store), "--quiet"])
    assert done.exit_code == 0, done.output
    return store


def attribute(store: Path, *arguments: str) -> Result:
    return runner.invoke(build(), ["attribute", *arguments, "--store", str(store)])


def test_numbers_and_a_sheet_come_out_and_the_sheet_stays_with_the_run(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps.png"
    done = attribute(results, RUN, "--items", "50", "--shown", "4", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["generated"] and told["foreground_known"] and told["grid"] == [8, 8]
    assert set(told["numbers"]) == {"reliance", "drift", "omission", "spread", "covered", "agreement"}
    drift = told["numbers"]["drift"]
    assert drift["items"] + drift["items_left_out"] == 50
    assert drift["interval"][0] <= drift["difference"] <= drift["interval"][1]
    assert drift["difference"] == pytest.approx(drift["after"] - drift["before"])
    assert 0 < drift["after"] < 1 and drift["even_map"] > 0.8
    with Store.open(results, read_only=True) as store:
        kept = {sample.unit: sample for sample in store.samples(told["run"])}
    sheet = kept["attribution by occlusion"]
    assert sheet.media_type == "image/png" and sheet.data == out.read_bytes()
    assert Image.open(io.BytesIO(sheet.data)).width > 300
    assert sheet.notes["drift"]["items"] == drift["items"]
    texts = json.loads(kept["attribution by occlusion: prompts"].data)["prompts"]
    assert len(texts) == 4 and "drift" in texts[0]


def test_asking_again_takes_the_place_of_the_earlier_sheet(results: Path) -> None:
    for shown in ("2", "3"):
        assert attribute(results, RUN, "--by", "similarity", "--items", "20", "--shown", shown).exit_code == 0
    with Store.open(results, read_only=True) as store:
        units = [sample.unit for run in store.runs() for sample in store.samples(run.fingerprint)]
    assert units.count("attribution by similarity") == 1


@pytest.mark.parametrize("form", ["gradient", "gradient-behaviour"])
def test_gradient_maps_have_the_same_numbers_and_a_sheet_of_their_own(results: Path, form: str) -> None:
    done = attribute(results, RUN, "--by", form, "--items", "50", "--shown", "3", "--json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["form"] == form and told["sample"] == f"attribution by {form}"
    for name in ("drift", "omission"):
        assert told["numbers"][name]["items"] > 0 and 0 <= told["numbers"][name]["after"] <= 1
    with Store.open(results, read_only=True) as store:
        kept = {sample.unit: sample for sample in store.samples(told["run"])}
    assert kept[f"attribution by {form}"].notes["form"] == form
    occlusion = json.loads(attribute(results, RUN, "--items", "50", "--json").stdout)
    # Reliance replaces the whole picture, whatever the maps are made by; the maps themselves differ.
    assert occlusion["numbers"]["reliance"] == told["numbers"]["reliance"]
    assert occlusion["numbers"]["drift"] != told["numbers"]["drift"]


def test_an_unknown_form_is_refused_with_those_there_are(results: Path) -> None:
    done = attribute(results, RUN, "--by", "saliency")
    assert done.exit_code == 2
    assert all(form in done.output for form in ("occlusion", "similarity", "gradient", "gradient-behaviour"))


def test_the_table_says_what_is_what(results: Path) -> None:
    done = attribute(results, RUN, "--items", "20", "--shown", "2")
    assert done.exit_code == 0
    for words in ("generated", "drift", "omission", "95 % over items", "RECONSTRUCTED", "not over seeds"):
        assert words in done.output


def test_an_adapter_that_gives_the_same_for_every_picture_is_called_so_and_has_no_p_value(results: Path) -> None:
    with Store.open(results, read_only=True) as store:
        path = weights_path(
            next(run.fingerprint for run in store.runs() if f"{run.method}:{run.dataset}:{run.seed}" == RUN)
        )
    trained = path.read_bytes()
    weights = load(trained)
    weights["adapters.content.layers.7.weight"] *= 1e-6  # gates that hardly depend on what comes in
    try:
        path.write_bytes(save(weights))
        told: dict[str, Any] = json.loads(attribute(results, RUN, "--items", "30", "--json").stdout)
        shown = attribute(results, RUN, "--items", "30")
    finally:
        path.write_bytes(trained)
    assert told["depends_on_picture"] is False
    assert told["numbers"]["reliance"]["after"] < 1e-9 < 0.1 < told["numbers"]["reliance"]["before"]
    assert told["numbers"]["reliance"]["p_value"] < 0.01
    assert all(told["numbers"][name] is None for name in ("drift", "omission", "spread", "covered"))
    assert "does not depend on the picture" in " ".join(shown.output.split())
    honest = attribute(results, RUN, "--items", "30")
    assert "does not depend on the picture" not in " ".join(honest.output.split())
    assert json.loads(attribute(results, RUN, "--items", "30", "--json").stdout)["depends_on_picture"] is True


def test_the_same_question_has_the_same_answer(results: Path) -> None:
    first, second = (attribute(results, RUN, "--items", "30", "--json").stdout for _ in range(2))
    assert json.loads(first)["numbers"] == json.loads(second)["numbers"]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("befa[vbpr]:scenes-items@0.2:0", ("no run", "Nearest", "befa[vbpr]:scenes-items@0.1:0")),
        ("vbpr:scenes-items@0.1:0", ("none of befa", "befa[…]")),
        ("befa[bm3]:scenes-items@0.1:0", ("enabled: false",)),
        ("befa[vbpr]:baby-twin@0.01:0", ("no picture in parts", "ml-100k-general", "scenes-items")),
    ],
)
def test_a_run_that_cannot_be_looked_at_is_an_error_with_a_way_out(
    results: Path, run: str, words: tuple[str, ...]
) -> None:
    done = attribute(results, run)
    assert done.exit_code == 2
    assert all(word in done.output for word in words), done.output


def test_weights_that_are_gone_are_an_error_that_says_how_to_get_them(results: Path, tmp_path: Path) -> None:
    with Store.open(results, read_only=True) as store:
        run = next(run for run in store.runs() if f"{run.method}:{run.dataset}:{run.seed}" == RUN)
        before = store.samples(run.fingerprint)
    path = weights_path(run.fingerprint)
    hidden = path.rename(tmp_path / "hidden")
    try:
        done = attribute(results, run.fingerprint[:10])
    finally:
        hidden.rename(path)
    assert done.exit_code == 2
    assert "not on this machine" in done.output and "--fresh" in done.output
    with Store.open(results, read_only=True) as store:
        assert store.samples(run.fingerprint) == before


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert attribute(tmp_path / "none.db", RUN).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_help_has_an_example() -> None:
    done = runner.invoke(build(), ["attribute", "--help"])
    assert done.exit_code == 0 and "Example: bench attribute" in done.output
