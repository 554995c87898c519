"""Drawings of stored samples show what the samples hold, where they say."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_factories import (
    CLASSES,
    COUNTS,
    PROMPTS,
    confusion_record,
    grid_records,
    images,
    plain,
    reasoning_record,
    record,
    story_records,
)
from store_factories import make_run

from bench.data.features.frames import Watched
from bench.errors import DataError, StoreError
from bench.pictures import (
    confused_order,
    cut_grid,
    draw_confusion,
    draw_reasoning,
    draw_sample,
    is_picture,
    most_confused,
    read_confusion,
    read_reasoning,
    read_table,
    write_samples,
)
from bench.pictures.canvas import DARK, LIGHT, SCALE, WIDTH, Canvas, fitted, letters_on, text_width, wrapped
from bench.tasks.grids import picture_grid, story_grid


class Drawn:
    """What a drawing did: (x, y, text), and (x, y, pixels)."""

    def __init__(self, monkeypatch):
        self.texts, self.upright, self.pixels = [], {}, []
        text, upright, pixels = Canvas.text, Canvas.upright, Canvas.pixels

        def on_text(canvas, x, y, told, **how):
            self.texts.append((x, y, told))
            return text(canvas, x, y, told, **how)

        def on_upright(canvas, x, y, told, **how):
            self.upright[told] = x
            return upright(canvas, x, y, told, **how)

        def on_pixels(canvas, x, y, width, height, shown):
            self.pixels.append((x, y, shown))
            return pixels(canvas, x, y, width, height, shown)

        monkeypatch.setattr(Canvas, "text", on_text)
        monkeypatch.setattr(Canvas, "upright", on_upright)
        monkeypatch.setattr(Canvas, "pixels", on_pixels)

    def at(self, told):
        return [(x, y) for x, y, text in self.texts if text == told]


@pytest.fixture
def drawn(monkeypatch):
    return Drawn(monkeypatch)


class TestConfusion:
    def test_the_order_puts_confused_classes_side_by_side(self):
        # "leek" is always taken for "pear", and "apple" often is; nothing is taken for "plum".
        order = confused_order(read_confusion(confusion_record())).tolist()
        assert sorted(order) == [0, 1, 2, 3]
        near = {frozenset((CLASSES[a], CLASSES[b])) for a, b in pairwise(order)}
        assert frozenset(("leek", "pear")) in near
        assert order.index(2) in (0, 3)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 9), st.integers(0, 2**32 - 1))
    def test_the_order_is_a_permutation_whatever_the_counts(self, n, seed):
        counts = np.random.default_rng(seed).integers(0, 4, (n, n)).tolist()
        order = confused_order(read_confusion(confusion_record(counts, [f"c{i}" for i in range(n)])))
        assert sorted(order.tolist()) == list(range(n))

    def test_pairs_accuracy_and_shares_are_those_of_a_naive_count(self):
        confusion = read_confusion(confusion_record())
        assert [tuple(pair) for pair in most_confused(confusion)] == [
            ("apple", "pear", 3, 3 / 8),
            ("leek", "pear", 2, 1.0),
            ("pear", "apple", 1, 1 / 8),
        ]
        assert confusion.accuracy.tolist() == [5 / 8, 7 / 8, 1.0, 0.0]
        assert most_confused(confusion, 1)[0].true == "apple"

    def test_a_class_without_images_has_no_accuracy(self):
        confusion = read_confusion(confusion_record([[2, 0], [0, 0]], ["a", "b"]))
        assert confusion.accuracy[0] == 1 and np.isnan(confusion.accuracy[1])
        assert not most_confused(confusion)
        assert draw_confusion(confusion)

    def test_the_drawing_has_every_count_in_its_row_and_column(self, drawn):
        draw_confusion(read_confusion(confusion_record()))
        columns = drawn.upright
        rows = {name: min(drawn.at(name), key=lambda place: place[0])[1] for name in CLASSES}
        for true, counts in zip(CLASSES, COUNTS, strict=True):
            for named, count in zip(CLASSES, counts, strict=True):
                here = (pytest.approx(columns[named]), pytest.approx(rows[true]))
                found = [text for x, y, text in drawn.texts if (x, y) == here]
                assert found == ([str(count)] if count else [])
        assert [y for _, y in drawn.at("88 %")] == [pytest.approx(rows["pear"])]
        assert drawn.at("3 (38 %)") and drawn.at("as pear")
        assert any("22 test images of 4 classes, 72.7 % named right" in text for *_, text in drawn.texts)

    def test_the_colour_of_a_cell_says_right_or_wrong(self, drawn):
        picture = Image.open(io.BytesIO(draw_confusion(read_confusion(confusion_record()), LIGHT)))
        places = {name: drawn.at(name) for name in CLASSES}
        x = drawn.upright
        y = {name: min(found, key=lambda place: place[0])[1] for name, found in places.items()}
        corner = -15
        right = picture.getpixel((round((x["plum"] + corner) * SCALE), round((y["plum"] + corner) * SCALE)))
        wrong = picture.getpixel((round((x["pear"] + corner) * SCALE), round((y["leek"] + corner) * SCALE)))
        assert (right, wrong) == (LIGHT.right, LIGHT.wrong)

    @pytest.mark.parametrize("n", [1, 2, 81, 172])
    def test_any_number_of_classes_fits_the_width(self, n):
        counts = np.eye(n, dtype=int).tolist()
        picture = Image.open(io.BytesIO(draw_confusion(read_confusion(confusion_record(counts, range(n))), DARK)))
        assert picture.width == WIDTH * SCALE and picture.getpixel((1, 1)) == DARK.paper

    @pytest.mark.parametrize(
        "content",
        [{}, [], {"classes": ["a"], "counts": [[1, 2]]}, {"classes": ["a"], "counts": [[-1]]}, {"classes": 3}],
    )
    def test_a_damaged_matrix_is_an_error_that_names_it(self, content):
        with pytest.raises(StoreError, match="confusion matrix"):
            read_confusion(plain("confusion matrix", "confusion", content))


class TestReasoning:
    def test_cycles_come_apart_and_say_what_they_kept(self):
        reasoning = read_reasoning(reasoning_record())
        assert reasoning.cycles == (1, 2)
        assert [(strip.label, strip.cycle) for strip in reasoning.clips] == [
            ("appearance", 1), ("motion", 1), ("appearance", 2), ("motion", 2), ("readout", None),
        ]  # fmt: skip
        assert [strip.kept for strip in reasoning.clips] == [(0, 1), (0,), (0,), (0, 2), ()]
        assert reasoning.kept(1) == pytest.approx((0.8, 0.45, 0.15))
        assert [strip.values for strip in reasoning.words] == [(0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1)]

    def test_of_candidates_the_chosen_one_is_shown(self):
        changes = {
            "candidates": ["no", "yes"], "chosen": 1, "words": ["is", "it", "yes"],
            "weights": {"steps": [[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]], "words": [[1.0, 0, 0, 0], [0.5, 0.25, 0.25, 0]]},
        }  # fmt: skip
        reasoning = read_reasoning(reasoning_record(**changes))
        assert [(strip.label, strip.values) for strip in reasoning.clips] == [("steps", (0.0, 0.25, 0.75))]
        assert [strip.values for strip in reasoning.words] == [(0.5, 0.25, 0.25)]
        assert not reasoning.cycles

    def test_without_the_words_padding_is_cut(self):
        changes = {"words": [], "weights": {"words": [[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]}}
        assert [strip.values for strip in read_reasoning(reasoning_record(**changes)).words] == [(0.5, 0.5), (1.0, 0.0)]

    def test_frames_are_drawn_in_the_order_of_clips_and_then_fade(self, drawn):
        frames = np.zeros((3, 2, 8, 8, 3), dtype=np.uint8)
        frames += (np.arange(6, dtype=np.uint8).reshape(3, 2) * 40)[:, :, None, None, None]
        draw_reasoning(read_reasoning(reasoning_record()), Watched(frames))
        shown = drawn.pixels[len(drawn.pixels) // 2 :]  # the first half measured the height
        film, first, second = shown[:6], shown[6:9], shown[9:]
        assert [int(pixels[0, 0, 0]) for *_, pixels in film] == [0, 40, 80, 120, 160, 200]
        assert [x for x, *_ in film] == sorted(x for x, *_ in film)
        # A cycle's frame is the clip's second, mixed with white paper by what the cycle kept of it.
        kept = (0.8, 0.45, 0.15)
        expected = [round(value * share + 255 * (1 - share)) for value, share in zip((40, 120, 200), kept, strict=True)]
        assert [int(pixels[0, 0, 0]) for *_, pixels in first] == expected
        assert len(second) == 3 and {y for _, y, _ in second} != {y for _, y, _ in first}

    def test_weights_words_and_answers_are_written(self, drawn):
        draw_reasoning(read_reasoning(reasoning_record()))
        told = [text for *_, text in drawn.texts]
        for text in (
            "how many red things",
            "true: 2",
            "answered: 3 (wrong)",
            "0.90",
            "0.45",
            "many",
            "things",
            "cycle 2",
        ):
            assert text in told or text == "0.45"
        (nine,) = {place for place in drawn.at("0.90") if place[0] < WIDTH / 2}
        columns = sorted({x for x, _, text in drawn.texts if text in ("1", "2", "3")})
        assert nine[0] == pytest.approx(columns[0])
        assert not drawn.pixels

    def test_a_still_image_is_put_together_from_its_regions(self, drawn):
        regions = images(4, 5)[:, None]
        changes = {"clips": ["a"] * 4, "weights": {"readout": [0.25, 0.25, 0.25, 0.25]}}
        draw_reasoning(read_reasoning(reasoning_record(**changes)), Watched(regions, (2, 2)))
        whole = drawn.pixels[-2][2]
        assert np.array_equal(whole[:5, 5:], regions[1, 0]) and np.array_equal(whole[5:, :5], regions[2, 0])

    def test_frames_of_another_number_of_clips_are_left_out(self, drawn):
        draw_reasoning(read_reasoning(reasoning_record()), Watched(images(4, 8)[:, None]))
        assert not drawn.pixels

    @pytest.mark.parametrize("content", [{}, [1], {"question": "q", "weights": 3, "clips": []}])
    def test_a_damaged_sample_is_an_error_that_names_it(self, content):
        with pytest.raises(StoreError, match="reasoning q1"):
            read_reasoning(plain("reasoning q1", "reasoning", content))


class TestPieces:
    @pytest.mark.parametrize("blocks", [1, 2, 3])
    @pytest.mark.parametrize("n", [1, 2, 3, 5])
    def test_a_grid_is_cut_into_the_images_it_was_made_of(self, n, blocks):
        columns = {"drawn": images(n, 100, 1), "real": images(n, 100, 2)}
        texts = [f"text {i}" for i in range(n)]
        grid, prompts = (record(sample) for sample in picture_grid("g", columns, texts, {}, blocks=blocks))
        pieces = cut_grid(grid, prompts)
        assert [piece.texts for piece in pieces] == [(text,) for text in texts]
        for name, made in columns.items():
            assert np.array_equal(np.concatenate([piece.strips[name] for piece in pieces]), made)

    def test_small_images_come_back_as_large_as_they_were_shown(self):
        grid, prompts = grid_records(side=32)
        first = cut_grid(grid, prompts)[0].strips["real"][0]
        assert first.shape == (96, 96, 3) and np.array_equal(first[1::3, 1::3], images(3, 32)[0])

    def test_a_story_is_cut_into_its_frames(self):
        first, second = cut_grid(*story_records())
        assert first.texts == ("bo jumps", "bo stands", "bo falls") and second.given == (True, False, False)
        made = images(6, 96, 3).reshape(2, 3, 96, 96, 3)
        inside = slice(2, -2)  # a given frame's blue line lies outside of it
        assert np.array_equal(second.strips["drawn"][:, inside, inside], made[1][:, inside, inside])
        assert np.array_equal(first.strips["real"], images(6, 96, 4).reshape(2, 3, 96, 96, 3)[0])

    def test_a_sheet_of_another_layout_is_an_error(self):
        grid, prompts = grid_records()
        narrow = Image.open(io.BytesIO(grid.data)).crop((0, 0, 500, 300))
        stream = io.BytesIO()
        narrow.save(stream, "PNG")
        for data in (stream.getvalue(), b"no image"):
            with pytest.raises(StoreError, match="images by caption"):
                cut_grid(grid.model_copy(update={"data": data}), prompts)
        with pytest.raises(StoreError, match="images by caption"):
            cut_grid(grid, prompts.model_copy(update={"data": json.dumps({"prompts": PROMPTS}).encode()}))


class TestSamples:
    RUN = make_run("dualvgr", dataset="nowhere-qa")

    def test_every_sample_is_written_and_drawn(self, tmp_path):
        table = plain("accuracy by type", "table", [{"type": "count", "questions": 3, "accuracy": 0.5}], number=1)
        samples = [reasoning_record(), table, confusion_record(number=2), *grid_records()]
        written = write_samples(
            self.RUN, [one.model_copy(update={"number": i}) for i, one in enumerate(samples)], tmp_path
        )
        assert [file.name for file in written.files] == [
            "000-reasoning-q1.json", "000-reasoning-q1.png", "001-accuracy-by-type.json", "001-accuracy-by-type.png",
            "002-confusion-matrix.json", "002-confusion-matrix.png", "003-images-by-caption.png",
            "004-images-by-caption-prompts.json",
        ]  # fmt: skip
        assert (tmp_path / "003-images-by-caption.png").read_bytes() == samples[3].data
        assert Image.open(tmp_path / "000-reasoning-q1.png").width == WIDTH * SCALE
        assert not written.problems

    def test_one_that_cannot_be_drawn_is_written_and_told(self, tmp_path):
        written = write_samples(self.RUN, [confusion_record([[1]], ["a", "b"])], tmp_path)
        assert [file.name for file in written.files] == ["000-confusion-matrix.json"]
        assert len(written.problems) == 1 and "confusion matrix" in written.problems[0]

    def test_names_of_files_cannot_leave_the_folder(self, tmp_path):
        evil = confusion_record().model_copy(update={"unit": "../../etc/<passwd>"})
        written = write_samples(self.RUN, [evil], tmp_path / "out")
        assert {file.parent for file in written.files} == {tmp_path / "out"}

    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(DataError):
            write_samples(self.RUN, [confusion_record()], tmp_path / "file")

    def test_what_is_no_picture_is_said_so(self):
        other = plain("x", "something", {})
        assert not is_picture(other) and is_picture(confusion_record()) and is_picture(grid_records()[0])
        with pytest.raises(ValueError, match="something"):
            draw_sample(other, self.RUN)

    @pytest.mark.parametrize("content", [{}, [], [3], [{}]])
    def test_a_damaged_table_is_an_error(self, content):
        with pytest.raises(StoreError, match="no table"):
            read_table(plain("accuracy by type", "table", content))


class TestCanvas:
    @given(st.text(max_size=200), st.integers(20, 400))
    @settings(max_examples=50, deadline=None)
    def test_fitted_text_fits(self, text, width):
        found = fitted(text, width)
        assert found == text or (text_width(found) <= width and found.endswith("...")) or found == "..."

    def test_long_text_ends_after_its_lines(self):
        found = wrapped("word " * 300, 200, lines=3)
        assert len(found) == 3 and found[-1].endswith("...")

    def test_letters_read_on_their_colour(self):
        assert letters_on((0, 0, 0)) == (255, 255, 255) and letters_on((255, 255, 255)) == (20, 20, 20)


@pytest.mark.parametrize("caption", ["saw big yellow machines, and men in hats", "W" * 60, "WWWW WWWW " * 30, "i" * 15])
def test_a_caption_stays_below_its_own_frame(caption):
    frames = np.zeros((1, 2, 32, 32, 3), np.uint8)
    grid, _ = story_grid("g", {"drawn": frames}, np.zeros((1, 2), dtype=bool), [[caption, ""]], {})
    sheet = np.asarray(Image.open(io.BytesIO(grid.data)).convert("L"))
    # The second frame begins 76 + 96 + 6 pixels from the left, and below it stands nothing.
    assert (sheet[6 + 96 + 6 :, 76:] < 128).any()
    assert (sheet[6 + 96 + 6 :, 76 + 96 + 6 :] > 200).all()
