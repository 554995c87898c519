"""Tests of the schema: every released one can be opened and upgraded, and a newer one is refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from store_factories import make_run

from bench.errors import StoreSchemaError
from bench.store import Store, migrate
from bench.store.tables import Base

SCHEMAS = Path(__file__).parents[1] / "assets" / "schemas"
RELEASED = sorted(SCHEMAS.glob("v*.db"), key=lambda path: int(path.stem[1:]))

NEXT = '''
"""A schema from the future."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "9999", "{}", None, None


def upgrade():
    op.add_column("run", sa.Column("mood", sa.String()))
    op.execute("UPDATE run SET mood = 'good'")
'''


@pytest.fixture
def tomorrow(tmp_path, monkeypatch):
    """A bench that has one more migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder)
    (folder / "versions" / "v9999_mood.py").write_text(NEXT.format(migrate.known_revisions()[-1]))
    monkeypatch.setattr(migrate, "MIGRATIONS", folder)


def version_of(path: Path) -> str:
    with sqlite3.connect(path) as plain:
        return plain.execute("SELECT version_num FROM bench_alembic_version").fetchone()[0]


def test_every_released_schema_has_a_tiny_database():
    assert [int(path.stem[1:]) for path in RELEASED] == [int(name) for name in migrate.known_revisions()]
    assert all(path.stat().st_size < 256 * 1024 for path in RELEASED)


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_a_released_schema_is_upgraded_with_its_content(released, tmp_path):
    path = tmp_path / "results.db"
    shutil.copyfile(released, path)
    with Store.open(path) as store:
        runs = {run.method: run for run in store.runs(curves=True)}
        assert runs["mgcn"].metrics == {"recall@20": 0.1 + 0.2, "ndcg@20": 1 / 3}
        assert runs["mgcn"].curve[0].values["loss"] == 0.7
        assert store.unit_scores(runs["mgcn"].fingerprint)["recall@20"].to_list() == [0.0, 0.5, 1.0]
        assert store.trials(runs["mgcn"].study)[0].value == 0.1 + 0.2
        assert store.environment(runs["mgcn"].environment).packages == {"torch": "2.13.0"}
        assert store.experiment(runs["mgcn"].spec_digest).name == "quickstart"
        assert store.view(runs["mgcn"].views["ui"]).edges == 24
        assert runs["lattice"].status == "skipped"
        assert store.put_run(make_run("bpr", 7))
    assert version_of(path) == migrate.known_revisions()[-1]


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_a_released_schema_is_read_without_touching_it(released):
    before = released.read_bytes()
    with Store.open(released, read_only=True) as store:
        assert {run.method for run in store.runs()} == {"mgcn", "lattice"}
    assert released.read_bytes() == before
    assert {path.suffix for path in SCHEMAS.iterdir()} <= {".db", ".md"}


def test_an_older_schema_is_upgraded_on_writing(tmp_path, tomorrow):
    path = tmp_path / "results.db"
    shutil.copyfile(RELEASED[-1], path)
    with Store.open(path) as store:
        assert len(store.runs()) == 2
    assert version_of(path) == "9999"
    with sqlite3.connect(path) as plain:
        assert plain.execute("SELECT DISTINCT mood FROM run").fetchall() == [("good",)]


def test_an_older_schema_is_read_in_memory(tmp_path, tomorrow):
    path = tmp_path / "results.db"
    shutil.copyfile(RELEASED[-1], path)
    with Store.open(path, read_only=True) as store:
        assert len(store.runs()) == 2
    assert path.read_bytes() == RELEASED[-1].read_bytes()


def test_an_upgrade_that_fails_leaves_the_old_schema(tmp_path, tomorrow):
    path = tmp_path / "results.db"
    shutil.copyfile(RELEASED[-1], path)
    script = migrate.MIGRATIONS / "versions" / "v9999_mood.py"
    script.write_text(script.read_text() + "    raise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        Store.open(path)
    assert version_of(path) == migrate.known_revisions()[-2]
    with sqlite3.connect(path) as plain:
        assert "mood" not in {row[1] for row in plain.execute("PRAGMA table_info(run)")}


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(("found", "message"), [("9998", "newer than"), ("a1b2c3", "unknown to")])
def test_a_schema_from_elsewhere_is_refused_and_spared(tmp_path, found, message, read_only):
    path = tmp_path / "results.db"
    shutil.copyfile(RELEASED[-1], path)
    with sqlite3.connect(path) as plain:
        plain.execute("UPDATE bench_alembic_version SET version_num = ?", (found,))
    before = path.read_bytes()
    with pytest.raises(StoreSchemaError, match=f"schema {found}, which is {message}") as caught:
        Store.open(path, read_only=read_only)
    assert "pip install -U" in caught.value.hint
    assert path.read_bytes() == before


def test_migrations_make_the_tables_that_the_code_uses():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        migrate.upgrade(connection)
        options = {"version_table": migrate.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_form_one_line_in_the_order_of_their_names():
    script = ScriptDirectory(str(migrate.MIGRATIONS))
    assert script.get_heads() == [migrate.known_revisions()[-1]]
    walked = [revision.revision for revision in script.walk_revisions()]
    assert walked[::-1] == migrate.known_revisions()
