"""Schema 0001: the first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes every table."""
    op.create_table(
        "baseline",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("budget", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("runs", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_baseline"),
        sa.UniqueConstraint(
            "name", "task", "protocol", "dataset", "method", "budget", "metric", name="uq_baseline_cell"
        ),
    )
    op.create_table(
        "environment",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("git_commit", sa.String()),
        sa.Column("git_dirty", sa.Boolean()),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("hardware", sa.JSON(), nullable=False),
        sa.Column("python", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_environment"),
    )
    op.create_table(
        "experiment",
        sa.Column("spec_digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spec_text", sa.Text(), nullable=False),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("budget", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("spec_digest", name="pk_experiment"),
    )
    op.create_table(
        "study",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("budget", sa.String(), nullable=False),
        sa.Column("sampler", sa.String(), nullable=False),
        sa.Column("pruner", sa.String(), nullable=False),
        sa.Column("select", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("best_trial", sa.Integer()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_study"),
    )
    op.create_table(
        "view",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("pipeline", sa.JSON(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("cols", sa.BigInteger(), nullable=False),
        sa.Column("edges", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_view"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("generated", sa.Boolean(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("method_digest", sa.String(), nullable=False),
        sa.Column("budget", sa.String(), nullable=False),
        sa.Column("budget_detail", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("select", sa.String(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("study", sa.String()),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("dataset_digest", sa.String(), nullable=False),
        sa.Column("views", sa.JSON(), nullable=False),
        sa.Column("environment", sa.String()),
        sa.Column("spec_digest", sa.String()),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("best_epoch", sa.Integer()),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("n_units", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["environment"], ["environment.digest"], name="fk_run_environment"),
        sa.ForeignKeyConstraint(["spec_digest"], ["experiment.spec_digest"], name="fk_run_spec_digest"),
        sa.ForeignKeyConstraint(["study"], ["study.fingerprint"], name="fk_run_study"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("fingerprint", name="uq_run_fingerprint"),
    )
    op.create_index(
        "ix_run_task_dataset_protocol_budget_method",
        "run",
        ["task", "dataset", "protocol", "budget", "method"],
        unique=False,
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("best_epoch", sa.Integer()),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["study.fingerprint"], name="fk_trial_study", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_trial"),
        sa.UniqueConstraint("study", "number", name="uq_trial_study_number"),
    )
    op.create_table(
        "curve",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer()),
        sa.Column("trial_id", sa.Integer()),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("arrow", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(run_id IS NULL) <> (trial_id IS NULL)", name="ck_curve_one_owner"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_curve_run_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name="fk_curve_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_curve"),
        sa.UniqueConstraint("run_id", name="uq_curve_run_id"),
        sa.UniqueConstraint("trial_id", name="uq_curve_trial_id"),
    )
    op.create_table(
        "metric",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_metric_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "split", "name", name="pk_metric"),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("prompt", sa.Text()),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_sample_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sample"),
        sa.UniqueConstraint("run_id", "number", name="uq_sample_run_id_number"),
    )
    op.create_table(
        "unit_scores",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("arrow", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_unit_scores_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="pk_unit_scores"),
    )
