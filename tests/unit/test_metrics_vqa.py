"""Accuracy and WUPS of answers, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError, UserError
from bench.metrics import vqa, wordnet
from bench.metrics.wordnet import WordNet, open_wordnet, read_wordnet

if TYPE_CHECKING:
    from pathlib import Path

INDEX = """  1 a licence line
entity n 1 1 ~ 1 0 00000001
animal n 1 2 @ ~ 1 0 00000002
dog n 2 1 @ 2 0 00000003 00000006
cat n 1 1 @ 1 0 00000004
stone n 1 1 @ 1 0 00000005
man n 1 1 @ 1 0 00000007
"""
DATA = """  1 a licence line
00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | all
00000002 05 n 02 animal 0 beast 0 002 @ 00000001 n 0000 ~ 00000003 n 0000 | lives
00000003 05 n 01 dog 0 001 @ 00000002 n 0000 | barks
00000004 05 n 01 cat 0 001 @ 00000002 n 0000 | mews
00000005 17 n 01 stone 0 001 @ 00000001 n 0000 | lies
00000006 17 n 01 dog 0 001 @i 00000005 n 0000 | a rock called so
00000007 18 n 01 man 0 001 @ 00000002 n 0000 | walks
"""


@pytest.fixture
def tiny(tmp_path: Path) -> WordNet:
    (tmp_path / "index.noun").write_text(INDEX)
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "noun.exc").write_text("geese goose\n")
    return read_wordnet(tmp_path)


class TestNames:
    @pytest.mark.parametrize("name", ["accuracy", "accuracy[count]", "accuracy[CW]", "wups@0.9", "wups@0.0", "wups@1"])
    def test_names_that_are_read(self, name: str) -> None:
        assert vqa.parse(name).name == name and vqa.parse(name).direction == "maximize"

    @pytest.mark.parametrize("name", ["acuracy", "wups", "wups@1.5", "accuracy@3", "accuracy[]", "recall@20"])
    def test_names_that_are_not(self, name: str) -> None:
        with pytest.raises(UserError):
            vqa.parse(name)


class TestAccuracy:
    def test_an_unseen_answer_never_counts_as_right(self) -> None:
        assert vqa.accuracy(np.array([1, 0, -1]), np.array([1, 1, -1])).tolist() == [1, 0, 0]

    def test_a_type_counts_its_own_questions_alone(self) -> None:
        scores = vqa.of_type(np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]), ("count", "exist"), "exist")
        assert np.isnan(scores[0]) and scores[1:].tolist() == [0, 1]

    def test_an_unknown_type_names_the_known(self) -> None:
        with pytest.raises(UserError, match=r"no question type 'exits'. Did you mean 'exist'"):
            vqa.of_type(np.zeros(1), np.zeros(1), ("count", "exist"), "exits")


class TestWordNet:
    def test_similarity_is_twice_the_common_depth_over_both(self, tiny: WordNet) -> None:
        # dog and cat meet in animal, at depth 2; both lie one below: 2 * 2 / (3 + 3).
        assert tiny.similarity("dog", "cat") == pytest.approx(4 / 6)
        # dog's second sense lies one below stone, which is at depth 2: 2 * 2 / (3 + 2).
        assert tiny.similarity("dog", "stone") == pytest.approx(4 / 5)
        assert tiny.similarity("animal", "stone") == pytest.approx(2 / 4)

    def test_plurals_are_found_and_unknown_words_are_like_nothing_but_themselves(self, tiny: WordNet) -> None:
        assert tiny.synsets("Dogs") == tiny.synsets("dog") and tiny.synsets("men") == (7,)
        assert tiny.similarity("unicorn", "dog") == 0 and tiny.similarity("unicorn", "unicorn") == 1

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "index.noun").write_text(INDEX)
        (tmp_path / "data.noun").write_text("00000001 03 n zz\n")
        with pytest.raises(DataError, match=r"data.noun line 1 is no synset"):
            read_wordnet(tmp_path)

    def test_where_there_is_none_the_way_out_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("WNHOME", raising=False)
        monkeypatch.setattr(wordnet, "DEBIAN", tmp_path)
        with pytest.raises(UserError, match="wups needs WordNet") as caught:
            open_wordnet()
        assert "wordnet-base" in (caught.value.hint or "")

    def test_dog_and_cat_have_their_documented_similarity_in_the_real_wordnet(self) -> None:
        if not (wordnet.DEBIAN / "data.noun").is_file():
            pytest.skip(f"WordNet is not in {wordnet.DEBIAN}; Debian's wordnet-base puts it there")
        real = read_wordnet(wordnet.DEBIAN)
        assert len(real.senses) > 100_000
        # dog.n.01 and cat.n.01 meet in carnivore, depth 13 counted from 1 along the longest way; nltk's how-to prints
        # this value.
        assert real.similarity("dog", "cat") == pytest.approx(0.8571428571, abs=1e-9)


class TestWups:
    def test_below_the_threshold_a_tenth_is_left(self, tiny: WordNet) -> None:
        assert vqa.wups("dog", "cat", 0.0, tiny.similarity) == pytest.approx(4 / 6)
        assert vqa.wups("dog", "cat", 0.9, tiny.similarity) == pytest.approx(0.4 / 6)

    def test_sets_are_compared_both_ways(self, tiny: WordNet) -> None:
        # Every member finds dog or cat at 1; the missing cat finds dog at 4/6.
        assert vqa.wups("dog", "cat, dog", 0.0, tiny.similarity) == pytest.approx(4 / 6)
        assert vqa.wups("cat,dog", "dog, cat", 0.9, tiny.similarity) == 1

    @given(st.lists(st.sampled_from(["dog", "cat", "stone", "x"]), min_size=1, max_size=3), st.floats(0, 1))
    def test_equal_sets_are_right_and_all_values_are_shares(self, members: list[str], threshold: float) -> None:
        def alike(first: str, second: str) -> float:
            return 1.0 if first == second else 0.3

        answer = ", ".join(members)
        assert vqa.wups(answer, answer, threshold, alike) == 1
        assert 0 <= vqa.wups(answer, "dog, cat", threshold, alike) <= 1
