"""Downloads against a local server: checked, resumed, atomic, and honest about files nobody can verify."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import polars as pl
import pytest

from bench.data.card import DataFile, InteractionCard, Sizes
from bench.data.dataset import fetch_dataset, open_dataset
from bench.data.registry import DATASETS
from bench.errors import DataError, DownloadError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Hub(ThreadingHTTPServer):
    """Serves `files` with ranges; `cut` closes the connection after that many bytes, `cuts` times."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.cut, self.cuts = 0, 0
        self.honours_ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        body = self.server.files.get(self.path.lstrip("/"))
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.honours_ranges else 0
        if start >= len(body) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(body[start : start + self.server.cut])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(body[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def table(tmp_path: Path) -> bytes:
    path = tmp_path / "made.parquet"
    rows = [(user, (user + step) % 7) for user in range(6) for step in range(5)]
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_parquet(path)
    return path.read_bytes()


@pytest.fixture
def publish(hub: Hub, table: bytes, fresh_cache: Path) -> Iterator[Callable[..., Path]]:
    """Registers a card whose file lies on the hub; returns where it will be downloaded to."""

    def add(*, sha256: str | None = hashlib.sha256(table).hexdigest(), url: str = f"{hub.url}/table") -> Path:
        DATASETS.remove("hubbed")
        file = DataFile(path="interactions.parquet", sha256=sha256, url=url)
        card = InteractionCard(
            name="hubbed",
            title="x",
            family="recommendation",
            tasks=("recommendation",),
            description="x",
            source="x",
            licence="x",
            citation="x",
            protocols=("mmrec-v1",),
            sizes=Sizes(users=6, items=7, rows=30),
            files=(file,),
        )
        DATASETS.add("hubbed", card)
        return fresh_cache / "data" / "hubbed" / "interactions.parquet"

    hub.files["table"] = table
    yield add
    DATASETS.remove("hubbed")


def test_download_is_verified_recorded_and_opened(hub: Hub, publish: Callable[..., Path], table: bytes) -> None:
    target = publish()
    seen: list[tuple[str, int, int]] = []
    assert fetch_dataset("hubbed", progress=lambda *step: seen.append(step)) == target.parent
    assert target.read_bytes() == table and seen[-1] == ("interactions.parquet", len(table), len(table))
    assert json.loads((target.parent / "downloads.json").read_text())[0]["verified"] is True
    dataset = open_dataset("hubbed")
    assert dataset.sizes["users"] == 6 and dataset.notes["unverified_downloads"] == []
    fetch_dataset("hubbed")
    assert len(hub.ranges) == 1, "a verified file is not asked for again"


def test_wrong_checksum_is_refused_and_leaves_nothing(publish: Callable[..., Path]) -> None:
    target = publish(sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"arrived with sha256 .* but the card says 0000"):
        fetch_dataset("hubbed")
    assert not target.exists() and list(target.parent.iterdir()) == []


def test_broken_connection_resumes_by_itself(hub: Hub, publish: Callable[..., Path], table: bytes) -> None:
    target = publish()
    hub.cut, hub.cuts = 100, 2
    fetch_dataset("hubbed")
    assert target.read_bytes() == table and hub.ranges == [None, "bytes=100-", "bytes=200-"]


def test_interrupted_download_is_resumed_by_the_next_command(
    hub: Hub, publish: Callable[..., Path], table: bytes
) -> None:
    target = publish()
    hub.cut, hub.cuts = 50, 3
    with pytest.raises(DownloadError, match=r"broke off: .*150 bytes are kept and the same command resumes"):
        fetch_dataset("hubbed")
    part = target.with_name("interactions.parquet.part")
    assert not target.exists() and part.read_bytes() == table[:150]
    fetch_dataset("hubbed")
    assert target.read_bytes() == table and hub.ranges[-1] == "bytes=150-" and not part.exists()


def test_server_without_ranges_starts_again(hub: Hub, publish: Callable[..., Path], table: bytes) -> None:
    target = publish()
    hub.cut, hub.cuts, hub.honours_ranges = 100, 1, False
    fetch_dataset("hubbed")
    assert target.read_bytes() == table


def test_complete_partial_file_is_checked_and_kept(publish: Callable[..., Path], table: bytes) -> None:
    target = publish()
    target.parent.mkdir(parents=True)
    target.with_name("interactions.parquet.part").write_bytes(table)
    fetch_dataset("hubbed")
    assert target.read_bytes() == table


def test_wrong_partial_file_is_caught_by_the_checksum(publish: Callable[..., Path], table: bytes) -> None:
    target = publish()
    target.parent.mkdir(parents=True)
    target.with_name("interactions.parquet.part").write_bytes(b"x" * 100)
    with pytest.raises(DownloadError, match="sha256"):
        fetch_dataset("hubbed")
    fetch_dataset("hubbed")
    assert target.read_bytes() == table


def test_missing_file_on_the_server(hub: Hub, publish: Callable[..., Path]) -> None:
    target = publish(url=f"{hub.url}/gone")
    with pytest.raises(DownloadError, match=r"/gone answered 404"):
        fetch_dataset("hubbed")
    assert not target.exists()


def test_no_server_at_all(publish: Callable[..., Path]) -> None:
    publish(url="http://127.0.0.1:9/x")
    with pytest.raises(DownloadError, match=r"broke off: .*refused"):
        fetch_dataset("hubbed")


def test_file_without_a_checksum_needs_consent_and_stays_marked(publish: Callable[..., Path], table: bytes) -> None:
    target = publish(sha256=None)
    with pytest.raises(UserError, match=r"knows no checksum for interactions\.parquet"):
        fetch_dataset("hubbed")
    assert not target.exists()
    fetch_dataset("hubbed", allow_unverified=True)
    assert target.read_bytes() == table
    assert open_dataset("hubbed").notes["unverified_downloads"] == ["interactions.parquet"]


def test_cards_without_an_address_say_where_to_put_the_files() -> None:
    with pytest.raises(UserError, match="the card of 'baby' declares no download address") as caught:
        fetch_dataset("baby")
    assert "BENCH_DATA" in (caught.value.hint or "")
    with pytest.raises(UserError, match="is generated, not downloaded"):
        fetch_dataset("baby-twin")


def test_cache_that_cannot_be_written(
    publish: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write"):
        fetch_dataset("hubbed")
