"""`bench sample`: images of stored runs by their kept weights, and what is said when that cannot be."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import build
from bench.data.dataset import open_dataset
from bench.execution.results import weights_path
from bench.methods.base import Context
from bench.methods.registry import METHODS
from bench.spec.fingerprint import source_digest
from bench.store import Store
from bench.store.records import RunRecord
from bench.tasks.prompts import read_prompts
from bench.tasks.scoring import Place
from bench.training.build import build_method
from bench.training.checkpoint import write_tensors

if TYPE_CHECKING:
    from pathlib import Path

PLACE = Place(torch.device("cpu"), torch.float32)
NETWORK = {"channels": [8, 16], "heads": 2, "width": 16, "sampling_steps": 2}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "1": ("text_to_image", "shapes-captions@0.01", NETWORK),
    "2": ("image_editing", "shapes-edits@0.01", {}),
    "3": ("story", "shapes-stories@0.01", NETWORK),
}
LABELS = {"1": "ddpm_t2i", "2": "no_edit", "3": "storyimager"}
STORY = ("ada the green star jumps in the middle", "ada stands at the left", "ada stands", "ada jumps at the right")


class Shelf(NamedTuple):
    """A store with runs whose weights were kept."""

    folder: Path
    methods: dict[str, Any]

    def bench(self, *arguments: str, code: int = 0) -> Any:
        """Runs `bench sample ...`."""
        environment = {"BENCH_STORE": str(self.folder / "results.db"), "BENCH_CACHE": str(self.folder / "cache")}
        result = CliRunner().invoke(build(), ["sample", *arguments], env=environment)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    def picture(self, *arguments: str, name: str = "made.png") -> np.ndarray:
        """Returns the pixels of the picture that was written."""
        self.bench(*arguments, "--out", str(self.folder / name))
        return np.asarray(Image.open(self.folder / name))


def record(number: str, **changes: Any) -> RunRecord:
    task, dataset, config = RUNS[number]
    cls = METHODS.get(LABELS[number])
    values: dict[str, Any] = {
        "fingerprint": number * 32, "identity": {"precision": "32-true", "seed": 0}, "status": "done",
        "family": "generation", "task": task, "protocol": "generated-v1", "dataset": dataset, "generated": True,
        "method": LABELS[number], "method_digest": source_digest(cls.__module__), "budget": "small",
        "budget_detail": {"trials": 0, "epochs": 1, "patience": None, "trial_epochs": None}, "seed": 0,
        "select": "seconds_per_image", "config": cls.Config(**config).model_dump(mode="json"), "epochs": 1,
        "dataset_digest": open_dataset(dataset).digest, "created": datetime(2026, 1, 2, 12, tzinfo=timezone.utc),
    }  # fmt: skip
    return RunRecord.model_validate(values | changes)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.delenv("BENCH_DATA", raising=False)
        methods = {}
        with Store.open(folder / "results.db") as store:
            for number, (_, dataset, config) in RUNS.items():
                torch.manual_seed(int(number))
                data = open_dataset(dataset).training()
                filled = METHODS.get(LABELS[number]).Config(**config).model_dump()
                methods[number] = build_method({"method": LABELS[number]}, filled, Context(data)).eval()
                stored = record(number)
                write_tensors(weights_path(stored.fingerprint), methods[number].state_dict(), {"job": "x"})
                store.put_run(stored)
            other = {"fingerprint": "4" * 32, "family": "recommendation", "task": "recommendation", "method": "mgcn"}
            store.put_run(record("1", **other, dataset="baby-twin@0.05"))
            store.put_run(record("1", fingerprint="5" * 32, seed=1))
            store.put_run(record("1", fingerprint="6" * 32, seed=2, status="diverged", reason="the loss is not finite"))
            changed = record("1", fingerprint="7" * 32, seed=3, dataset_digest="0" * 64, method_digest="0" * 32)
            store.put_run(changed)
            write_tensors(weights_path("7" * 32), methods["1"].state_dict(), {"job": "x"})
            old = record("1", fingerprint="8" * 32, seed=4, method_digest="0" * 32)
            store.put_run(old)
            write_tensors(weights_path("8" * 32), methods["1"].state_dict(), {"job": "x"})
            store.put_run(record("1", fingerprint="9" * 32, seed=5))
            weights_path("9" * 32).write_bytes(b"no weights")
            adversarial = METHODS.get("dfgan").Config(encoder=str(folder / "gone" / "clip")).model_dump(mode="json")
            store.put_run(record("1", fingerprint="a" * 32, method="dfgan", config=adversarial))
            write_tensors(weights_path("a" * 32), methods["1"].state_dict(), {"job": "x"})
        yield Shelf(folder, methods)


def test_an_image_is_what_the_method_draws_from_the_seed(shelf: Shelf) -> None:
    drawn = shelf.picture("1111", "--prompt", "a red circle", "--seed", "5", "--plain")
    method = shelf.methods["1"]
    with torch.no_grad():
        prompts = read_prompts(["a red circle"], method.data, PLACE).prompts
        images = method.generate(prompts, torch.Generator().manual_seed(5))
    assert np.array_equal(drawn, ((images[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy())


def test_equal_seeds_give_equal_files_and_others_do_not(shelf: Shelf) -> None:
    made = [
        shelf.picture("ddpm_t2i:shapes-captions@0.01:0", "--prompt", "a red circle", "--seed", seed)
        for seed in ("1", "1", "2")
    ]
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_several_prompts_with_several_images_are_a_grid(shelf: Shelf) -> None:
    grid = shelf.picture("1111", "--prompt", "a red circle", "--prompt", "a blue star", "--n", "3", "--plain")
    assert grid.shape == (2 * 32, 3 * 32, 3)
    cells = grid.reshape(2, 32, 3, 32, 3).transpose(0, 2, 1, 3, 4).reshape(6, -1)
    assert len(np.unique(cells, axis=0)) == 6


def test_doing_nothing_to_an_image_gives_it_back(shelf: Shelf, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    made = shelf.picture("2222", "--image", str(tmp_path / "in.png"), "--prompt", "a blue star", "--plain")
    assert np.array_equal(made, pixels)


def test_what_is_transparent_is_read_as_white(shelf: Shelf, tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    made = shelf.picture("2222", "--image", str(tmp_path / "clear.png"), "--prompt", "a blue star", "--plain")
    assert (made == 255).all()


def test_a_story_takes_a_prompt_for_each_frame_and_keeps_its_given_ones(shelf: Shelf, tmp_path: Path) -> None:
    first = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(first).save(tmp_path / "first.png")
    asked = [word for text in STORY for word in ("--prompt", text)]
    strips = shelf.picture("3333", *asked, "--image", str(tmp_path / "first.png"), "--n", "2", "--plain")
    assert strips.shape == (2 * 32, 4 * 32, 3)
    assert np.array_equal(strips[:32, :32], first) and np.array_equal(strips[32:, :32], first)
    assert not np.array_equal(strips[:32, 32:], strips[32:, 32:])
    refused = shelf.bench("3333", *asked[:6], code=2)
    assert "needs a prompt for each, but got 3" in refused.stderr


def test_json_is_all_of_stdout(shelf: Shelf) -> None:
    out = shelf.folder / "json.png"
    result = shelf.bench("1111", "--prompt", "a red mauve circle", "--out", str(out), "--json")
    told = json.loads(result.stdout)
    assert told["file"] == str(out) and out.is_file() and told["side"] == 32
    assert (told["rows"], told["columns"], told["prompts"]) == (1, 1, ["a red mauve circle"])
    assert any("mauve" in notice for notice in told["notices"])


def test_a_prompt_of_ten_thousand_characters_is_cut_with_a_notice(shelf: Shelf) -> None:
    long = shelf.bench("1111", "--prompt", "red " * 2500, "--out", str(shelf.folder / "long.png"), "--plain")
    assert "has 10,000 characters; its first 64 words are read" in long.stderr
    short = shelf.picture("1111", "--prompt", "red " * 64, "--plain")
    assert np.array_equal(np.asarray(Image.open(shelf.folder / "long.png")), short)


@pytest.mark.parametrize(
    ("run", "arguments", "said"),
    [
        ("1112", (), "Nearest: 1111"),
        ("ddpm_t2i:shapes-caption@0.01:0", (), "Nearest: ddpm_t2i:shapes-captions@0.01:0"),
        ("4444", (), "'recommendation', which makes no images"),
        ("5555", (), "export-spec 555555555555"),
        ("6666", (), "status is 'diverged': the loss is not finite"),
        ("7777", (), "has changed since run 777777777777"),
        ("9999", (), "cannot be read"),
        ("aaaa", (), "gone/clip' is neither"),
        ("1111", ("--prompt", "zyzzyva"), "Nearest"),
        ("1111", ("--prompt", "?!"), "no word in it"),
        ("1111", ("--n", "0"), "--n must be from 1 to 16, but got 0"),
        ("1111", ("--image", "face.png"), "draws from prompts alone"),
        ("1111", ("--out", "made.jpg"), "made.png"),
        ("2222", (), "none was given"),
        ("2222", ("--image", "no-such.png"), "there is no image 'no-such.png'"),
        ("2222", ("--image", __file__), "cannot be decoded"),
    ],
)
def test_what_cannot_be_done_is_one_error_with_a_way_out(
    shelf: Shelf, run: str, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prompt = () if "--prompt" in arguments else ("--prompt", "a red circle")
    result = shelf.bench(run, *prompt, *arguments, code=2)
    told = " ".join(result.stderr.split())
    if said == "Nearest":
        assert "no word of the training captions" in told
    else:
        assert said in told
    assert told.startswith("error: ") and told.count("error:") == 1 and "hint: " in told
    assert not list(tmp_path.iterdir()) and result.stdout == ""


def test_without_a_prompt_it_says_how_to_give_one(shelf: Shelf) -> None:
    assert "--prompt" in shelf.bench("1111", code=2).stderr


def test_a_truncated_image_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(
        tmp_path / "whole.png"
    )
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:6000])
    result = shelf.bench("2222", "--prompt", "a red circle", "--image", str(tmp_path / "half.png"), code=2)
    assert "half.png' cannot be decoded" in result.stderr


def test_a_changed_method_is_told(shelf: Shelf) -> None:
    result = shelf.bench("8888", "--prompt", "a red circle", "--out", str(shelf.folder / "old.png"))
    assert "the code of ddpm_t2i has changed" in result.stderr
