"""Dataset ids, and the command line's view of what there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from data_factories import tiny_card, write_features, write_inter, write_parquet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.card import DataFile
from bench.data.catalog import dataset_info, list_datasets
from bench.data.registry import DATASETS, parse_dataset_id, resolve_dataset
from bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "name", "scale", "canonical"),
    [
        ("baby", "baby", 1.0, "baby"),
        ("baby-twin@0.05", "baby-twin", 0.05, "baby-twin@0.05"),
        ("baby-twin@.050", "baby-twin", 0.05, "baby-twin@0.05"),
        ("baby-twin@1", "baby-twin", 1.0, "baby-twin"),
        ("baby-twin@100", "baby-twin", 100.0, "baby-twin@100"),
    ],
)
def test_ids_have_one_canonical_form(text: str, name: str, scale: float, canonical: str) -> None:
    parsed = parse_dataset_id(text)
    assert parsed == (name, scale) and str(parsed) == canonical


@given(st.floats(0.01, 100).map(lambda x: float(f"{x:g}")))
def test_canonical_ids_read_back(scale: float) -> None:
    parsed = parse_dataset_id(f"baby-twin@{scale!r}")
    assert math.isclose(parsed.scale, scale) and parse_dataset_id(str(parsed)) == parsed


@pytest.mark.parametrize("scale", ["", "x", "0", "0.009", "101", "-1", "nan", "inf", "0.12345678"])
def test_scales_outside_the_range_are_refused(scale: str) -> None:
    with pytest.raises(UserError, match="scale"):
        parse_dataset_id(f"baby-twin@{scale}")


def test_real_data_has_no_scale() -> None:
    with pytest.raises(UserError, match=r"real data and has one size only") as caught:
        resolve_dataset("baby@0.5")
    assert "baby-twin@0.5" in (caught.value.hint or "")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "\\x"])
def test_card_files_stay_inside_the_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="inside the dataset's folder"):
        DataFile(path=path)


def test_card_refuses_unknown_protocols_keys_and_checksums() -> None:
    with pytest.raises(ValidationError, match="unknown protocols"):
        tiny_card(protocols=("mmrec-v9",))
    with pytest.raises(ValidationError, match="Extra inputs"):
        tiny_card(colour="red")
    with pytest.raises(ValidationError, match="sha256"):
        DataFile(path="x", sha256="abc")


def test_listing_tells_what_is_here_and_where(
    tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DATASETS.add("tiny", tiny_card(files=({"path": "interactions.parquet", "sha256": "0" * 64}, {"path": "gone.npy"})))
    try:
        assert not {row.name: row for row in list_datasets()}["tiny"].present
        monkeypatch.setenv("BENCH_DATA", f"{tmp_path / 'nowhere'}:{tmp_path}")
        write_parquet(tmp_path / "tiny")
        write_features(tmp_path / "tiny")
        row = {row.name: row for row in list_datasets()}["tiny"]
        assert row.present and row.where == tmp_path / "tiny" and row.layout == "bench"
        info = dataset_info("tiny")
        assert {file.path: file.status for file in info.files} == {
            "interactions.parquet": "differs",
            "gone.npy": "absent",
            "image_feat.npy": "unknown",
            "text_feat.npy": "unknown",
        }
        write_inter(tmp_path / "tiny")
        assert [place.layout for place in dataset_info("tiny").places] == ["mmrec", "bench"]
    finally:
        DATASETS.remove("tiny")
