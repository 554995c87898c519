"""Readers of questions about images and videos: splits, words, answers, and what they say of broken files."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.data.cards.daquar import CARD as DAQUAR
from bench.data.cards.msvd_qa import CARD as MSVD
from bench.data.cards.nextqa_captions import CARD as NEXTQA
from bench.data.cards.sprites_qa import CARD as SPRITES
from bench.data.cards.svqa import CARD as SVQA
from bench.data.content import Content, Request
from bench.data.dataset import open_dataset
from bench.data.features.stored import APPEARANCE, IDS, MOTION, write_features
from bench.data.protocols import PROTOCOLS
from bench.data.readers import daquar, hcrn_features, nextqa_captions, sprites_qa
from bench.data.readers.questions import Encoder, QuestionRow, grouped, vqa_content
from bench.data.readers.text import as_tokens, vocabulary_of, words
from bench.data.vqa import PADDING, UNKNOWN
from bench.errors import DataError

h5py = pytest.importorskip("h5py")


def request(card: Any, folder: Path) -> Request:
    return Request(card.name, 1.0, folder, card, PROTOCOLS[card.default_protocol], lambda what, done, total: None)


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((160, 120)).save(stream, "JPEG")
    return stream.getvalue()


def daquar_folder(folder: Path, *, images: int = 20, broken: str | None = None, extra: str = "") -> Path:
    lines = []
    with zipfile.ZipFile(folder / daquar.ZIP, "w") as archive:
        for image in range(images):
            split = "train" if image < images * 3 // 4 else "test"
            for question, answer in (
                ("what is on the desk", "lamp, book"),
                ("how many chairs are there", str(image % 3)),
            ):
                lines.append({"image": f"image{image}", "question": question, "answer": answer, "split": split})
            if f"image{image}" != broken:
                archive.writestr(f"image{image}.jpg", jpeg(image))
            else:
                archive.writestr(f"image{image}.jpg", b"\xff\xd8 nothing")
        lines[-1]["answer"] = "a thing nobody saw"
        archive.writestr(daquar.META, "\n".join(map(json.dumps, lines)) + extra)
    return folder


class TestText:
    @given(st.text(max_size=40))
    def test_words_are_runs_of_letters_and_digits_in_lower_case(self, text: str) -> None:
        for word in words(text):
            assert word == word.lower() and "_" not in word and word.isalnum()

    def test_an_unknown_word_and_padding_have_tokens_of_their_own(self) -> None:
        index = {word: token for token, word in enumerate(vocabulary_of([["a", "b"]]))}
        tokens, lengths = as_tokens([["a"], ["b", "z"]], lambda word: index.get(word, UNKNOWN), ["", ""])
        assert tokens.tolist() == [[2, PADDING], [3, UNKNOWN]] and lengths.tolist() == [1, 2]

    def test_a_text_without_words_names_its_place(self) -> None:
        with pytest.raises(DataError, match="line 7 has no word"):
            as_tokens([["a"], []], lambda word: 2, ["line 6", "line 7"])


class TestEncoder:
    def rows(self, *answers: str) -> list[QuestionRow]:
        return [QuestionRow(f"row {k}", f"q{k}", "v", "what is it", answer, "what") for k, answer in enumerate(answers)]

    def test_answers_are_counted_and_the_rarest_are_no_class(self) -> None:
        encoder = Encoder(self.rows("a", "b", "B ", "c"), ("what",), top=2)
        assert encoder.answers == ("b", "a")
        assert encoder.encode(encoder.train, ["v"]).answers.tolist() == [1, 0, 0, -1]

    def test_unseen_answers_and_words_are_marked(self) -> None:
        encoder = Encoder(self.rows("a"), ("what",))
        asked = encoder.encode([QuestionRow("", "t", "v", "what colour", "z", "what")], ["v"])
        assert asked.answers.tolist() == [-1] and asked.tokens[0, 1] == UNKNOWN

    def test_a_known_stem_stands_in_for_an_unknown_word(self) -> None:
        train = [QuestionRow("", "q", "v", "who is jumping", "a", "what")]
        encoder = Encoder(train, ("what",), by_stem=True)
        jumps = encoder.encode([QuestionRow("", "t", "v", "who jumps", "a", "what")], ["v"])
        assert encoder.vocabulary[jumps.tokens[0, 1]] == "jumping"

    @given(st.sets(st.text(min_size=1, max_size=6), min_size=3, max_size=40), st.text(max_size=3))
    def test_a_grouped_split_takes_every_id_once_in_any_order(self, ids: set[str], seed: str) -> None:
        shares = {"test": 0.25, "valid": 0.15, "train": 0.6}
        parts = grouped(ids, seed=seed, shares=shares)
        assert sorted(id_ for part in parts.values() for id_ in part) == sorted(ids)
        assert parts == grouped(sorted(ids, reverse=True), seed=seed, shares=shares)


class TestCheckedRows:
    def row(self, **changes: Any) -> QuestionRow:
        return QuestionRow("the file, row 3", "q", "v", "what is it", "a", "what")._replace(**changes)

    def content(self, *train: QuestionRow) -> Content:
        rest = {
            part: [self.row(id=part, about=part, candidates=train[0].candidates, right=0)] for part in ("valid", "test")
        }
        visuals: Any = None
        return vqa_content(request(DAQUAR, Path()), {"train": train, **rest}, visuals, types=("what",), identity={})

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"text": " ?! "}, "row 3: the question ' \\?! ' is empty"),
            ({"about": "test"}, "is in 'test', but 'train' has it already"),
            ({"id": "valid"}, "question 'valid' was read before"),
            ({"answer": "  "}, "row 3: the answer is empty"),
            ({"candidates": ("a", "b"), "right": 2}, "the right answer is 2, but must be 0 to 1"),
        ],
    )
    def test_a_broken_row_names_its_place(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            self.content(self.row(**changes))


@pytest.mark.usefixtures("fresh_cache")
class TestDaquar:
    def test_validation_takes_whole_training_images(self, tmp_path: Path) -> None:
        content = daquar.read(request(DAQUAR, daquar_folder(tmp_path)))
        data = content.training("digest")
        train, valid = set(data.train.clips.ids), set(data.valid.clips.ids)
        assert len(train | valid) == 15 and not train & valid and len(valid) == 2
        assert not (train | valid) & set(content.test().clips.ids)

    def test_a_list_is_one_answer_and_an_unseen_one_is_none(self, tmp_path: Path) -> None:
        content = daquar.read(request(DAQUAR, daquar_folder(tmp_path)))
        data, test = content.training("digest"), content.test().questions
        assert "lamp, book" in data.answers
        assert test.answers[-1] == -1 and test.answer_texts[-1] == "a thing nobody saw"
        assert content.notes["questions_with_unseen_answer"]["test"] == 1

    def test_features_are_standardised_on_training_images(self, tmp_path: Path) -> None:
        clips = daquar.read(request(DAQUAR, daquar_folder(tmp_path))).training("digest").train.clips
        assert clips.appearance.shape == (13, 16, 4, daquar.APPEARANCE_DIM)
        assert clips.motion.shape == (13, 16, daquar.MOTION_DIM)
        assert np.allclose(clips.appearance.mean(axis=(0, 1, 2)), 0, atol=1e-3)

    def test_a_corrupt_image_is_named(self, tmp_path: Path) -> None:
        content = daquar.read(request(DAQUAR, daquar_folder(tmp_path, broken="image3")))
        with pytest.raises(DataError, match=r"daquar_160x120.zip: image 'image3.jpg' cannot be decoded"):
            content.training("digest")

    def test_a_line_that_is_no_question_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="line 41 must have the texts"):
            daquar.read(request(DAQUAR, daquar_folder(tmp_path, extra='\n{"image": "image0"}')))

    def test_a_features_file_in_the_folder_wins(self, tmp_path: Path) -> None:
        folder = daquar_folder(tmp_path)
        before = daquar.read(request(DAQUAR, folder))
        rng = np.random.default_rng(0)
        rows = [(f"image{k}", rng.random((4, 1, 6)), rng.random((4, 5))) for k in range(20)]
        write_features(folder / "features.h5", rows, 20)
        after = daquar.read(request(DAQUAR, folder))
        assert after.training("d").train.clips.appearance.shape == (13, 4, 1, 6)
        assert after.notes["features"] == "features.h5" and after.identity["features"] != before.identity["features"]

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("how many", "count"),
            ("what colour is it", "colour"),
            ("which object is red", "object"),
            ("by the", "other"),
        ],
    )
    def test_types_follow_the_first_words(self, text: str, kind: str) -> None:
        assert daquar.question_type(text) == kind


def nextqa_folder(folder: Path, *, videos: int = 20, wrong: dict[str, str] | None = None, drop: str = "") -> Path:
    lines = [",".join(nextqa_captions._COLUMNS)]
    with zipfile.ZipFile(folder / nextqa_captions.ZIP, "w") as archive:
        for video in range(videos):
            cells = {"video": f"v{video}", "question": "why did the dog run", "answer": str(video % 5), "qid": "0"}
            cells |= {"type": "CW"} | {f"a{k}": f"chased ball number {k}" for k in range(5)}
            if video == 2:
                cells |= wrong or {}
            lines.append(",".join(cells[name] for name in nextqa_captions._COLUMNS))
            if f"v{video}" != drop:
                captions = {str(t): f"A dog runs after ball {video % 5}, second {t}" for t in range(6 + video)}
                archive.writestr(f"caps/v{video}_cap.json", json.dumps(captions))
        archive.writestr(nextqa_captions.TABLE, "\n".join(lines))
    return folder


@pytest.mark.usefixtures("fresh_cache")
class TestNextqaCaptions:
    def test_videos_are_split_whole_and_words_start_in_the_space_of_captions(self, tmp_path: Path) -> None:
        content = nextqa_captions.read(request(NEXTQA, nextqa_folder(tmp_path)))
        data, test = content.training("digest"), content.test()
        assert (len(data.train.clips.ids), len(data.valid.clips.ids), len(test.clips.ids)) == (12, 3, 5)
        assert data.choices == 5 and data.train.questions.candidates is not None
        assert data.word_vectors is not None
        assert data.word_vectors.shape == (len(data.vocabulary), data.train.clips.appearance.shape[-1])
        assert not data.word_vectors[:2].any()
        assert np.allclose(np.linalg.norm(data.train.clips.appearance, axis=-1), 1, atol=1e-5)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"answer": "5"}, "line 4: the answer must be 0 to 4, but is '5'"),
            ({"type": "XX"}, "line 4: the type must be one of CH, CW"),
            ({"question": " "}, "line 4: the question ' ' is empty"),
            ({"a3": ""}, "line 4, candidate 3 has no word"),
        ],
    )
    def test_a_broken_row_is_named(self, tmp_path: Path, wrong: dict[str, str], message: str) -> None:
        with pytest.raises(DataError, match=message):
            content = nextqa_captions.read(request(NEXTQA, nextqa_folder(tmp_path, wrong=wrong)))
            content.training("digest")
            content.test()

    def test_a_question_about_a_missing_video_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"line 4 asks about video 'v2', but .* holds no 'caps/v2_cap.json'"):
            nextqa_captions.read(request(NEXTQA, nextqa_folder(tmp_path, drop="v2")))

    @given(st.integers(1, 200))
    def test_every_span_of_any_video_has_a_caption(self, seconds: int) -> None:
        spans = nextqa_captions.segments([f"word{t}" for t in range(seconds)])
        assert len(spans) == 32 and all(spans)
        assert {word for span in spans for word in span} == {f"word{t}" for t in range(seconds)}


class TestSprites:
    def test_characters_are_apart_and_sizes_are_the_cards(self) -> None:
        scenes = sprites_qa.draw_scenes()
        looks = {part: {scene.looks for scene in found} for part, found in scenes.items()}
        assert {part: len(found) for part, found in looks.items()} == sprites_qa.VIDEOS
        assert not looks["train"] & looks["test"] and not looks["train"] & looks["valid"]
        asked = {part: sum(len(sprites_qa.ask(scene)) for scene in found) for part, found in scenes.items()}
        assert asked == {part: SPRITES.sizes[part] for part in asked}

    def test_answers_follow_from_the_scene(self) -> None:
        for scene in sprites_qa.draw_scenes()["valid"]:
            (first, _), (second, _) = scene.acts
            for row in sprites_qa.ask(scene):
                if row.type == "hair":
                    assert row.answer == sprites_qa.LOOKS["hair"][scene.looks[3]]
                if row.type == "action":
                    assert row.answer == (second if " last" in row.text or " after " in row.text else first)
                if row.type == "order":
                    first_said = row.text.index(sprites_qa.DOING[first]) < row.text.index(sprites_qa.DOING[second])
                    assert row.answer == ("yes" if first_said else "no")

    @pytest.mark.parametrize(("action", "frames"), [("walk", 8), ("cast", 7), ("slash", 6)])
    def test_frames_are_those_of_the_published_script(self, action: str, frames: int) -> None:
        cells = [sprites_qa.frame_cells(action, direction) for direction in sprites_qa.DIRECTIONS]
        assert all(len(row) == 8 and len(set(row)) == frames for row in cells)
        assert len({cell for row in cells for cell in row}) == 3 * frames

    @pytest.mark.usefixtures("fresh_cache")
    def test_a_missing_sheet_is_named(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / sprites_qa.ZIP, "w") as archive:
            archive.writestr("README.md", "no sheets")
        with pytest.raises(DataError, match=r"holds no 'body/0.png'"):
            sprites_qa.read(request(SPRITES, tmp_path)).training("digest")


def msvd_folder(folder: Path, *, change: dict[str, Any] | None = None, skip: int = -1, clips: int = 3) -> Path:
    video = 0
    for stem, count in (("train", 4), ("val", 2), ("test", 2)):
        entries = []
        for _ in range(count):
            entries.append({"id": video, "video_id": video, "question": "What is it?", "answer": f"cat{video % 5}"})
            entries.append({"id": 90 + video, "video_id": video, "question": "is it a dog?", "answer": "dog"})
            video += 1
        if stem == "train":
            entries[1] |= change or {}
        (folder / f"{stem}_qa.json").write_text(json.dumps(entries))
    ids = [row for row in range(video) if row != skip][::-1]
    for name, key, shape in (("appearance", APPEARANCE, (3, 2, 5)), ("motion", MOTION, (clips, 4))):
        with h5py.File(folder / f"msvd-qa_{name}_feat.h5", "w") as file:
            file[key] = np.stack([np.full(shape, row, dtype=np.float32) for row in ids])
            file[IDS] = np.array(ids)
    return folder


@pytest.mark.usefixtures("fresh_cache")
class TestHcrnLayout:
    def test_features_follow_their_ids_and_types_the_first_word(self, tmp_path: Path) -> None:
        content = hcrn_features.read_open_ended(request(MSVD, msvd_folder(tmp_path)))
        data, test = content.training("digest"), content.test()
        assert data.train.clips.appearance[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
        assert test.clips.motion[:, 0, 0].tolist() == [6, 7] and test.clips.ids.tolist() == ["6", "7"]
        assert [data.types[kind] for kind in data.train.questions.types[:2]] == ["what", "other"]
        assert data.answers[0] == "dog" and content.sizes["videos"] == 8

    def test_an_unseen_answer_is_marked(self, tmp_path: Path) -> None:
        content = hcrn_features.read_open_ended(request(MSVD, msvd_folder(tmp_path)))
        assert content.training("d").valid.questions.answers.tolist()[0] == -1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"question": "?"}, "train_qa.json, question 1: the question '\\?' is empty"),
            ({"answer": None}, "question 1: 'answer' must be text or a number, but is None"),
            ({"video_id": 6}, "is in 'test', but 'train' has it already"),
        ],
    )
    def test_a_broken_question_is_named(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            hcrn_features.read_open_ended(request(MSVD, msvd_folder(tmp_path, change=change)))

    def test_a_question_about_a_video_without_features_is_an_error(self, tmp_path: Path) -> None:
        content = hcrn_features.read_open_ended(request(MSVD, msvd_folder(tmp_path, skip=2)))
        with pytest.raises(DataError, match=r"appearance_feat.h5 has no features of '2', which msvd-qa \(train\) asks"):
            content.training("digest")

    def test_two_numbers_of_clips_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"has 3 clips a video, but .* has 2"):
            hcrn_features.read_open_ended(request(MSVD, msvd_folder(tmp_path, clips=2)))

    def test_missing_features_say_how_to_make_them(self, tmp_path: Path) -> None:
        msvd_folder(tmp_path)
        (tmp_path / "msvd-qa_motion_feat.h5").unlink()
        with pytest.raises(DataError, match=r"msvd-qa_motion_feat.h5 is not there") as caught:
            hcrn_features.read_open_ended(request(MSVD, tmp_path))
        assert "bench data features msvd-qa" in (caught.value.hint or "")

    def test_svqa_is_split_by_its_id_lists_and_typed_by_its_programs(self, tmp_path: Path) -> None:
        kinds = ("count", "query_color")
        entries = [
            {
                "id": str(k),
                "question": "How many?",
                "ans": k % 2,
                "program": [{"function": "x"}, {"function": kinds[k % 2]}],
            }
            for k in range(6)
        ]
        (tmp_path / "questions.json").write_text(json.dumps(entries))
        for stem, ids in (("train", "0 1 2"), ("val", "3"), ("test", "4\n5\n")):
            (tmp_path / f"{stem}_svqa_ids.txt").write_text(ids)
        rng = np.random.default_rng(0)
        rows = [(str(k), rng.random((2, 3, 4)), rng.random((2, 5))) for k in range(6)]
        write_features(tmp_path / "features.h5", rows, 6)
        content = hcrn_features.read_svqa(request(SVQA, tmp_path))
        data = content.training("digest")
        assert content.sizes["train"] == 3 and data.types == kinds and content.test().clips.ids.tolist() == ["4", "5"]
        (tmp_path / "val_svqa_ids.txt").write_text("2 3")
        with pytest.raises(DataError, match="video '2' is in the list of 'train' too"):
            hcrn_features.read_svqa(request(SVQA, tmp_path))


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["daquar", "nextqa-captions", "sprites-qa"])
def test_the_published_files_are_what_the_card_says(name: str) -> None:
    dataset = open_dataset(name)
    assert dataset.notes["differs_from_card"] == []
    widths = {key: modality.dim for key, modality in dataset.card.modalities.items()}
    assert {key: info.dim for key, info in dataset.modalities.items()} == widths
