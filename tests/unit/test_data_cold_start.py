from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cards.citeulike import CARD as CITEULIKE
from bench.data.cards.ml_100k_cold import CARD as MOVIES
from bench.data.cold_splits import groups_of, split_cold_items
from bench.data.cold_start import ABSENT, COLD_TEST, COLD_VALID, WARM, cold_start_protocol
from bench.data.content import Request
from bench.data.dataset import open_dataset
from bench.data.readers import citeulike, movielens_cold
from bench.data.splits import TEST, TRAIN, VALID
from bench.errors import DataError, UserError
from bench.execution.entries import view_pipelines
from bench.methods.base import Needs
from bench.spec.models import MethodEntry

TWIN = "cold-twin@0.02"


@dataclass(frozen=True)
class Case:
    users: np.ndarray
    items: np.ndarray
    n_items: int
    seed: int


@st.composite
def worlds(draw):
    n_users, n_items = draw(st.integers(1, 12)), draw(st.integers(3, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    codes = rng.permutation(n_users * n_items)[: draw(st.integers(3, n_users * n_items))]
    missing = [item for item in range(3) if item not in codes % n_items]
    codes = np.unique(np.concatenate([codes, missing]).astype(int))
    return Case(codes // n_items, codes % n_items, n_items + draw(st.integers(0, 2)), draw(st.integers(0, 99)))


@given(worlds())
def test_an_item_is_warm_or_cold_and_every_row_is_in_one_part(case):
    split = split_cold_items(case.users, case.items, case.n_items, seed=case.seed)
    cold = split.groups[case.items] != WARM
    assert not cold[split.labels == TRAIN].any(), "no cold item is in train"
    assert (split.labels[split.groups[case.items] == COLD_VALID] == VALID).all()
    assert (split.labels[split.groups[case.items] == COLD_TEST] == TEST).all()
    occurring = np.unique(case.items)
    assert (split.groups[occurring] != ABSENT).all() and (np.delete(split.groups, occurring) == ABSENT).all()
    expected = max(1, round(0.1 * len(occurring)))
    assert [int((split.groups == group).sum()) for group in (COLD_VALID, COLD_TEST)] == [expected, expected]
    trained = set(case.items[split.labels == TRAIN])
    assert trained == set(np.flatnonzero(split.groups == WARM)), "every warm item keeps a training row"
    assert set(case.users[~cold]) == set(case.users[split.labels == TRAIN]), "so does every user of a warm item"


@given(worlds())
def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_rows(case):
    split = split_cold_items(case.users, case.items, case.n_items, seed=case.seed)
    order = np.random.default_rng(1).permutation(len(case.users))
    again = split_cold_items(case.users[order], case.items[order], case.n_items, seed=case.seed)
    assert np.array_equal(split.groups, again.groups) and np.array_equal(split.labels[order], again.labels)


def test_another_seed_draws_other_items():
    items = np.arange(200)
    splits = [split_cold_items(items % 7, items, 200, seed=seed).groups for seed in (0, 1)]
    assert not np.array_equal(*splits)


def test_warm_rows_are_split_by_the_per_user_rule_where_nobody_is_left_without_a_row():
    users, items = np.divmod(np.arange(40 * 50), 50)
    split = split_cold_items(users, items, 50, seed=3)
    warm = split.groups[items] == WARM
    counts = np.array([np.bincount(split.labels[warm & (users == user)], minlength=3) for user in range(40)])
    assert (counts == [32, 4, 4]).all(), "of 40 warm rows: floor(0.2 * 40) = 8 held out, half of them for validation"


def test_two_items_are_too_few():
    with pytest.raises(DataError, match="at least 3 items"):
        split_cold_items(np.array([0, 0]), np.array([0, 1]), 2, seed=0)


def test_a_published_split_with_an_item_in_two_groups_is_refused():
    items, labels = np.array([0, 1, 1]), np.array([TRAIN, VALID, TRAIN])
    with pytest.raises(DataError, match="item 1 is cold for validation in row 1"):
        groups_of(items, labels, np.array([False, True, False]), 2)
    with pytest.raises(DataError, match="item 1 is warm but has no training row"):
        groups_of(items, np.array([TRAIN, VALID, VALID]), np.zeros(3, bool), 2)


def test_no_cold_item_of_the_twin_is_in_train_and_its_words_are_nowhere():
    dataset = open_dataset(TWIN)
    data, test = dataset.training(), dataset.test()
    assert (data.groups[data.train.items] == WARM).all()
    assert set(data.groups[data.valid.items]) == {WARM, COLD_VALID}
    assert set(data.groups[test.items]) == {WARM, COLD_TEST}
    codes = [set(part.users.astype(np.int64) * data.n_items + part.items) for part in (data.train, data.valid, test)]
    assert sum(map(len, codes)) == len(set.union(*codes)) == dataset.sizes["rows"]
    assert not data.annotations.known[~data.warm].any()
    assert data.annotations.known[data.warm].mean() > 0.5
    assert "annotations" in dataset.modalities and "annotations" not in data.modalities
    assert data.modalities["image"].features.shape == (data.n_items, dataset.modalities["image"].dim)
    assert np.isfinite(data.modalities["image"].features).all()


def test_words_of_the_twin_tell_who_likes_what_better_than_chance():
    data = open_dataset("cold-twin@0.05").training()
    words = data.annotations.multi_hot(np.arange(data.n_items)).astype(float)
    matrix = np.zeros((data.n_users, data.n_items))
    matrix[data.train.users, data.train.items] = 1
    together = matrix.T @ matrix
    shared = words @ words.T
    pairs = np.triu(np.outer(data.warm, data.warm), 1).astype(bool)
    assert together[pairs & (shared >= 2)].mean() > 1.5 * together[pairs & (shared < 2)].mean()


def test_annotations_can_be_needed_but_are_no_content():
    known = open_dataset(TWIN).modalities
    bare = {name: info for name, info in known.items() if name != "annotations"}
    needs = Needs(frozenset({"annotations"}), at_least=1)
    assert needs.missing("x", known) is None
    assert needs.missing("x", bare) == "needs modality 'annotations', 'x' has image"
    assert Needs(at_least=2).missing("x", known) == "needs at least 2 modalities, 'x' has image, annotations"
    graphs = view_pipelines(MethodEntry(method="freedom"), {}, known)
    assert "annotations" not in str(graphs) and "image" in str(graphs)


def test_data_without_annotations_keeps_everything_else():
    data = open_dataset(TWIN).training()
    bare = data.without_annotations()
    assert bare.annotations is None and bare.train is data.train and bare.digest == data.digest


def request(folder, card, protocol):
    return Request(card.name, 1.0, folder, card, cold_start_protocol(protocol), lambda what, done, total: None)


def write_papers(folder, parts, *, tags=None):
    users, items, names = zip(*parts, strict=True)
    pl.DataFrame({"user": users, "item": items, "split": names}).write_parquet(folder / "interactions.parquet")
    words = tags or [["a", "b"], ["a", "b"], [], ["b", "c"], ["a", "c"], ["c"]]
    pl.DataFrame({"item": range(len(words)), "tags": words}).write_parquet(folder / "items.parquet")


PAPERS = [
    (0, 0, "train"),
    (0, 1, "train_map"),
    (1, 1, "train"),
    (1, 2, "train"),
    (0, 2, "warm_val"),
    (1, 0, "warm_test"),
    (0, 3, "cold_val"),
    (1, 4, "cold_test"),
    (0, 5, "cold_test"),
]


def test_the_published_split_is_read_as_it_is_with_both_training_parts(tmp_path):
    write_papers(tmp_path, PAPERS)
    content = citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))
    data, test = content.training("digest"), content.test()
    pairs = [
        list(zip(part.users.tolist(), part.items.tolist(), strict=True)) for part in (data.train, data.valid, test)
    ]
    assert pairs == [[(0, 0), (0, 1), (1, 1), (1, 2)], [(0, 2), (0, 3)], [(1, 0), (1, 4), (0, 5)]]
    assert data.groups.tolist() == [WARM, WARM, WARM, COLD_VALID, COLD_TEST, COLD_TEST]
    assert data.annotations is None and list(data.modalities) == ["text"]
    vectors = data.modalities["text"].features
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5), "equal tags, equal vectors"
    assert vectors[2] == pytest.approx(np.delete(vectors, 2, axis=0).mean(axis=0), abs=1e-5), "no tag, the mean"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((6, (0, 3, "cold")), "row 6 .*must be train, train_map, warm_val, warm_test, cold_val or cold_test"),
        ((6, (0, 0, "cold_val")), "interactions.parquet.* repeat row 0"),
        ((6, (1, 3, "train")), "no validation row is of a cold item"),
        ((1, (1, 3, "train_map")), "item 3 is warm in row 1 .*cold for validation in another"),
        ((2, (1, 9, "train")), "'item' must be an integer from 0 to 5"),
    ],
)
def test_a_damaged_published_split_is_one_clear_error(tmp_path, change, message):
    parts = list(PAPERS)
    parts[change[0]] = change[1]
    write_papers(tmp_path, parts)
    with pytest.raises(DataError, match=message):
        citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))


def test_item_files_are_checked(tmp_path):
    write_papers(tmp_path, PAPERS)
    pl.DataFrame({"item": [0, 2], "tags": [["a"], ["b"]]}).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="every item from 0 to 1 once"):
        citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))
    pl.DataFrame({"item": [0], "tags": ["a"]}).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="lists of words"):
        citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))
    pl.DataFrame({"item": [0], "tag": [["a"]]}).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="no column 'tags'"):
        citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))


def test_users_without_a_training_row_are_left_out_and_counted(tmp_path):
    write_papers(tmp_path, [*PAPERS, (2, 3, "cold_val"), (2, 4, "cold_test")])
    content = citeulike.read(request(tmp_path, CITEULIKE, "citeulike-gar-v1"))
    assert 2 not in content.training("").valid.users and 2 not in content.test().users
    assert content.notes["dropped_rows"] == {
        "valid (user without a training row)": 1,
        "test (user without a training row)": 1,
    }


def write_films(folder, n_items=12, *, genres=None):
    users, items = np.divmod(np.arange(9 * n_items), n_items)
    pl.DataFrame({"user": users, "item": items, "rating": np.ones(len(users), int)}).write_parquet(
        folder / "ratings.parquet"
    )
    words = genres or [["Drama"] if item % 2 else ["Comedy", "War"] for item in range(n_items)]
    pl.DataFrame({"item": range(len(words)), "genres": words}).write_parquet(folder / "items.parquet")
    patches = np.random.default_rng(0).random((n_items, 4, 5)).astype(np.float16)
    patches[3] = 0
    np.save(folder / "poster_patches.npy", patches)
    return patches


def test_films_show_standardised_poster_vectors_and_genres_of_warm_films_alone(tmp_path):
    patches = write_films(tmp_path).astype(np.float32)
    data = movielens_cold.read(request(tmp_path, MOVIES, "cold-items-v1")).training("")
    found = data.modalities["image"].features
    raw = np.concatenate([patches.mean(axis=1), patches.std(axis=1)], axis=1)
    with_poster = np.arange(12) != 3
    expected = (raw - raw[with_poster].mean(axis=0)) / raw[with_poster].std(axis=0)
    assert found[with_poster] == pytest.approx(expected[with_poster], abs=1e-3)
    assert (found[3] == 0).all(), "the mean vector stands for a missing poster"
    assert set(data.annotations.vocabulary) <= {"Comedy", "Drama", "War"}
    assert data.annotations.known.tolist() == data.warm.tolist()


def test_films_without_genre_rows_are_an_error(tmp_path):
    write_films(tmp_path, genres=[["Drama"]] * 3)
    with pytest.raises(DataError, match="every item from 0 to 11 once"):
        movielens_cold.read(request(tmp_path, MOVIES, "cold-items-v1"))


def test_a_protocol_of_another_task_is_refused():
    with pytest.raises(UserError, match="not offered by dataset 'cold-twin'"):
        open_dataset("cold-twin@0.02", protocol="mmrec-v1")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "train", "cold"),
    [
        ("citeulike", 107_418 + 24_699, (1_698, 1_698)),
        ("ml-100k-cold", None, (168, 168)),
        ("baby-cold", None, (705, 705)),
    ],
)
def test_real_cold_data_is_split_as_documented(name, train, cold):
    dataset = open_dataset(name)
    data, test = dataset.training(), dataset.test()
    assert dataset.notes["differs_from_card"] == []
    assert (dataset.sizes["cold_valid_items"], dataset.sizes["cold_test_items"]) == cold
    assert train is None or len(data.train) == train
    assert data.warm[data.train.items].all() and not set(data.train.items) & set(np.flatnonzero(~data.warm))
    assert set(data.groups[test.items]) == {WARM, COLD_TEST}
