"""The cache of compiled views under concurrency, damage, full disks and read-only folders."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from bench.data.types import Interactions, RecommendationData
from bench.errors import UserError
from bench.graph import cache
from bench.graph.cache import load_or_build, view_path
from bench.graph.compile import compile_view
from bench.graph.stages import Bipartite, SymNorm
from bench.graph.view import View

DIGEST = "d" * 64


def make_view(weight=1.0):
    ids = torch.arange(50)
    return View.from_edges(ids, ids.flip(0), torch.full((50,), weight, dtype=torch.float64), (50, 60))


def files(folder):
    return sorted(path.name for path in (folder / "views").iterdir() if path.suffix != ".lock")


def never():
    raise AssertionError("the view was made again")


def data(digest):
    rows = Interactions(np.array([0, 1, 2, 0], np.int32), np.array([0, 1, 0, 1], np.int32))
    return RecommendationData("toy", 3, 2, rows, rows, digest=digest)


def test_a_view_is_made_once_and_read_back_unchanged(tmp_path):
    made = load_or_build(DIGEST, make_view, cache_dir=tmp_path)
    read = load_or_build(DIGEST, never, cache_dir=tmp_path)
    assert (made.hit, read.hit) == (False, True)
    assert read.view.shape == (50, 60)
    for name in ("indptr", "indices", "values", "t_indptr", "t_indices", "t_values"):
        assert torch.equal(getattr(read.view, name), getattr(made.view, name))
        assert getattr(read.view, name).dtype == getattr(made.view, name).dtype
    assert files(tmp_path) == [f"{DIGEST}.safetensors"]


def test_a_view_without_edges_is_kept_too(tmp_path):
    none = torch.empty(0, dtype=torch.long)
    load_or_build(DIGEST, lambda: View.from_edges(none, none, torch.empty(0), (3, 4)), cache_dir=tmp_path)
    assert load_or_build(DIGEST, never, cache_dir=tmp_path).view.shape == (3, 4)


def test_compile_view_finds_its_own_work(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    pipeline = (Bipartite(), SymNorm())
    first, second, other = (compile_view(pipeline, data(digest)) for digest in ("a", "a", "b"))
    assert [result.cached for result in (first, second, other)] == [False, True, False]
    assert first.digest == second.digest != other.digest
    assert torch.equal(first.view.dense(), second.view.dense())
    with safe_open(view_path(first.digest), "pt") as file:
        assert file.metadata()["dataset"] == "toy"
        assert file.metadata()["stages"] == '["bipartite", "sym_norm"]'


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def truncate_to_nothing(path):
    path.write_bytes(b"")


def truncate_header(path):
    path.write_bytes(path.read_bytes()[:20])


def garble_header(path):
    path.write_bytes(b"\xff" * 300)


def flip_a_bit(path):
    raw = bytearray(path.read_bytes())
    raw[-900] ^= 1
    path.write_bytes(raw)


def take_anothers_place(path):
    load_or_build("e" * 64, lambda: make_view(2.0), cache_dir=path.parent.parent)
    path.with_name("e" * 64 + ".safetensors").replace(path)


def come_from_elsewhere(path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(3)}, path)


def come_from_another_format(path):
    path.write_bytes(path.read_bytes().replace(b'"format":"1"', b'"format":"0"'))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        truncate_to_nothing,
        truncate_header,
        garble_header,
        flip_a_bit,
        take_anothers_place,
        come_from_elsewhere,
        come_from_another_format,
    ],
)
def test_a_damaged_file_is_reported_and_made_again(tmp_path, damage):
    load_or_build(DIGEST, make_view, cache_dir=tmp_path)
    path = view_path(DIGEST, tmp_path)
    damage(path)
    with pytest.warns(UserWarning, match="making it again"):
        again = load_or_build(DIGEST, make_view, cache_dir=tmp_path)
    assert not again.hit
    assert torch.equal(load_or_build(DIGEST, never, cache_dir=tmp_path).view.values, make_view().values)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        load_or_build(DIGEST, make_view, cache_dir=tmp_path)
    assert "BENCH_CACHE" in str(caught.value)
    assert files(tmp_path) == []
    monkeypatch.undo()
    assert not load_or_build(DIGEST, make_view, cache_dir=tmp_path).hit


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "views").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot keep a compiled view"):
        load_or_build(DIGEST, make_view, cache_dir=tmp_path)


def test_an_error_while_making_a_view_is_not_blamed_on_the_cache(tmp_path):
    def missing():
        raise FileNotFoundError("features.npy")

    with pytest.raises(FileNotFoundError, match="features"):
        load_or_build(DIGEST, missing, cache_dir=tmp_path)
    assert files(tmp_path) == []


def test_what_a_killed_compile_left_is_swept_up(tmp_path):
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / f".{DIGEST}-abc.tmp").write_bytes(b"half")
    load_or_build(DIGEST, make_view, cache_dir=tmp_path)
    assert files(tmp_path) == [f"{DIGEST}.safetensors"]


def test_a_drive_without_locks_still_caches(tmp_path, monkeypatch):
    def unsupported(file, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(cache.fcntl, "flock", unsupported)
    assert not load_or_build(DIGEST, make_view, cache_dir=tmp_path).hit
    assert load_or_build(DIGEST, never, cache_dir=tmp_path).hit


COMPILE_SLOWLY = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import torch
    from bench.graph.cache import load_or_build
    from bench.graph.view import View

    folder, name = Path(sys.argv[1]), sys.argv[2]

    def build():
        (folder / f"built-by-{name}").touch()
        time.sleep(0.5)
        ids = torch.arange(50)
        return View.from_edges(ids, ids, torch.ones(50), (50, 50))

    (folder / f"ready-{name}").touch()
    while len(list(folder.glob("ready-*"))) < 2:
        time.sleep(0.005)
    view, hit = load_or_build("c" * 64, build, cache_dir=folder)
    print(int(view.values.sum()), hit)
    """
)


def test_of_two_processes_one_compiles_and_the_other_waits(tmp_path):
    both = [
        subprocess.Popen([sys.executable, "-c", COMPILE_SLOWLY, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert answers == ["50 False", "50 True"]
    assert len(list(tmp_path.glob("built-by-*"))) == 1
    assert files(tmp_path) == ["c" * 64 + ".safetensors"]


COMPILE_QUIETLY = textwrap.dedent(
    """
    import sys
    import numpy as np
    from bench.graph.compile import compile_view
    from bench.graph.stages import Bipartite, SymNorm
    from bench.data.types import Interactions, RecommendationData
    assert "dgl" not in sys.modules
    rows = Interactions(np.array([0, 1], np.int32), np.array([0, 1], np.int32))
    data = RecommendationData("toy", 2, 2, rows, rows, digest="x")
    assert compile_view((Bipartite(), SymNorm()), data).cached == (sys.argv[1] == "again")
    assert ("dgl" in sys.modules) == (sys.argv[1] != "again")
    """
)


def test_compiling_prints_nothing_and_leaves_the_home_folder_alone(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    environment = {**os.environ, "HOME": str(home), "BENCH_CACHE": str(tmp_path / "cache")}
    environment.pop("DGLBACKEND", None)
    for when in ("first", "again"):
        done = subprocess.run(
            [sys.executable, "-c", COMPILE_QUIETLY, when],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=Path(cache.__file__).parents[2],
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(home.iterdir())
