"""Tests of the Arrow blobs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.store import decode_units, encode_units
from bench.store.codec import decode_curve, encode_curve
from bench.store.records import CurvePoint

numbers = st.floats(allow_nan=True, allow_infinity=True)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(-(2**63), 2**63 - 1), numbers, max_size=20))
def test_unit_scores_survive_the_blob(scores):
    frame = decode_units(encode_units(np.array(list(scores), dtype=np.int64), {"recall@20": list(scores.values())}))
    assert frame["unit"].to_list() == list(scores)
    assert all(same(a, b) for a, b in zip(frame["recall@20"].to_list(), scores.values(), strict=True))


def test_units_may_be_named():
    frame = decode_units(encode_units(["story/1", "story/2"], {"clip": [0.25, 0.5]}))
    assert frame["unit"].to_list() == ["story/1", "story/2"]


def test_a_unit_may_occur_once_only():
    with pytest.raises(StoreError, match="each unit once"):
        encode_units([1, 2, 1], {"recall@20": [0.0, 0.0, 0.0]})


def test_scores_must_be_one_per_unit():
    with pytest.raises(StoreError, match=r"shape \(2,\)"):
        encode_units([1, 2], {"recall@20": [0.0]})


def test_unit_scores_are_small():
    # Recall of a user is a fraction with a small denominator, so it compresses well.
    generator = np.random.default_rng(0)
    recall = generator.integers(0, 3, 20_000) / generator.integers(2, 6, 20_000)
    assert len(encode_units(np.arange(20_000), {"recall@20": recall})) < 20_000 * 8


points = st.lists(
    st.dictionaries(st.sampled_from(["loss", "epoch", "valid/recall@20", "seconds/train"]), numbers), max_size=8
)


@settings(max_examples=40, deadline=None)
@given(points)
def test_curves_survive_the_blob(values):
    curve = [CurvePoint(epoch=number + 1, values=point) for number, point in enumerate(values)]
    back = decode_curve(encode_curve(curve))
    assert [point.epoch for point in back] == [point.epoch for point in curve]
    for was, now in zip(curve, back, strict=True):
        assert set(was.values) == set(now.values)
        assert all(same(was.values[name], now.values[name]) for name in was.values)


def test_a_damaged_blob_is_a_store_error():
    with pytest.raises(StoreError, match="cannot be read"):
        decode_units(b"PK\x03\x04")
    with pytest.raises(StoreError, match="cannot be read"):
        decode_curve(encode_curve([CurvePoint(epoch=1, values={})])[:-30])
