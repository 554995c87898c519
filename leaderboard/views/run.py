"""Run: one run in full. Its numbers, what it left to look at, what it was made from, and the spec that repeats it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import streamlit as st

from bench.analysis.cost import parameters_text
from bench.analysis.report import GENERATED
from bench.analysis.summary import TableKey, effort_text
from bench.store.lookup import look_up
from leaderboard.components import pick
from leaderboard.components.downloads import button, csv_button, csv_text, file_stem
from leaderboard.components.tables import height
from leaderboard.components.text import ABSENT, count, fields, plain

if TYPE_CHECKING:
    from bench.store import Store
    from bench.store.records import EnvironmentRecord, ExperimentRecord, RunRecord, StudyRecord, ViewRecord
    from leaderboard.components.board import Board
    from leaderboard.components.pick import TableChoice

PARTS = ("Results", "Samples", "Configuration", "Provenance", "Repeat it")
COLOURS = {"done": "green", "skipped": "gray", "pruned": "gray", "interrupted": "orange"}


class Whole(NamedTuple):
    """A run, and all that is stored about it."""

    run: RunRecord
    environment: EnvironmentRecord | None
    study: StudyRecord | None
    experiment: ExperimentRecord | None
    views: dict[str, ViewRecord]
    seeds: dict[int, str]
    """Seed to fingerprint of the runs that differ from it in the seed alone."""
    current: bool | None
    """Whether the method's source is still the same; None when nobody knows."""


def load_whole(store: Store, prefix: str) -> Whole:
    """Returns the run whose fingerprint begins so.

    Raises:
        UnknownNameError: None does, or several.
    """
    from bench.methods.registry import current_digests

    run = look_up(store, prefix)
    alike = {name: getattr(run, name) for name in ("task", "dataset", "protocol", "budget", "method", "method_digest")}
    same = [one for one in store.runs(**alike) if one.config == run.config and one.dataset_digest == run.dataset_digest]
    digest = current_digests([run.method]).get(run.method)
    found = {name: store.view(digest) for name, digest in run.views.items()}
    return Whole(
        run=run,
        environment=store.environment(run.environment) if run.environment else None,
        study=store.study(run.study) if run.study else None,
        experiment=store.experiment(run.spec_digest) if run.spec_digest else None,
        views={name: view for name, view in found.items() if view is not None},
        seeds={one.seed: one.fingerprint for one in sorted(same, key=lambda one: one.seed)},
        current=None if digest is None else digest == run.method_digest,
    )


def load_units(store: Store, fingerprint: str) -> pl.DataFrame | None:
    """Returns a run's scores of each unit."""
    return store.unit_scores(fingerprint)


def load_choices(store: Store, choice: TableChoice) -> dict[str, dict[int, str]]:
    """Returns method to seed to the fingerprint of its newest run, the finished ones first."""
    runs = store.runs(task=choice.task, dataset=choice.dataset, protocol=choice.protocol, budget=choice.budget)
    runs = [run for run in runs if run.dataset_digest == choice.dataset_digest]
    runs.sort(key=lambda run: (run.status != "done", run.created.timestamp() * -1))
    found: dict[str, dict[int, str]] = {}
    for run in runs:
        found.setdefault(run.method, {}).setdefault(run.seed, run.fingerprint)
    return {method: dict(sorted(seeds.items())) for method, seeds in sorted(found.items())}


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Run")
    columns = st.columns([5, 2], vertical_alignment="bottom")
    about = "The beginning of a fingerprint, as `bench report` and `bench show` print it. Empty: choose below."
    named = columns[0].text_input("Fingerprint", key="run", bind="query-params", help=about, placeholder="choose below")
    named = (named or "").strip().lower()
    if named:
        columns[1].button("Choose another run", icon=":material/search:", on_click=_forget)
        whole = board.query(load_whole, named)
    else:
        found = _choose(board)
        if found is None:
            return
        whole = board.query(load_whole, found)
    _heading(board, whole)
    tabs = st.tabs(PARTS, key="part", on_change="rerun", bind="query-params")
    draw = (_results, _samples, _configuration, _provenance, _repeat)
    for tab, part in zip(tabs, draw, strict=True):
        if tab.open:
            with tab:
                part(board, whole)


def _forget() -> None:
    st.session_state["run"] = ""


def _choose(board: Board) -> str | None:
    choice = pick.table(board)
    found = board.query(load_choices, choice)
    if not found:
        st.info("There is no run of this table any more.")
        return None
    columns = st.columns(2)
    method = pick.choose("Method", list(found), key="method", container=columns[0])
    seeds = {str(seed): fingerprint for seed, fingerprint in found[method].items()}
    return seeds[pick.choose("Seed", list(seeds), key="seed", container=columns[1])]


def _heading(board: Board, whole: Whole) -> None:
    run = whole.run
    st.header(plain(run.method), anchor=False)
    st.text(
        f"{run.task} · {run.dataset} ({run.protocol}) · seed {run.seed} · budget {run.budget}: "
        f"{effort_text(run.budget_detail)}"
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.badge(run.status, color=COLOURS.get(run.status, "red"))  # type: ignore[arg-type]
        if whole.current is False:
            about = "The method's source has changed since this run."
            st.badge("older code", color="orange", help=about)
        where = pick.where(board, TableKey.of(run))
        for seed, fingerprint in whole.seeds.items():
            if fingerprint != run.fingerprint:
                board.link("run", f"Seed {seed}", icon=":material/receipt_long:", run=fingerprint)
        board.link("task", "Table", icon=":material/table:", method=run.method, **where)
        if run.study:
            board.link("search", "Search", icon=":material/manage_search:", method=run.method, study=run.study, **where)
    if run.generated:
        st.warning(GENERATED, icon=":material/science:")
    if run.reason:
        st.text(run.reason)
    if run.error:
        with st.expander("Error", expanded=True, icon=":material/error:"):
            st.code(run.error, language=None)


def _results(board: Board, whole: Whole) -> None:
    run = whole.run
    names = list(dict.fromkeys([*run.metrics, *run.valid]))
    left, right = st.columns(2, gap="medium")
    with left:
        if names:
            frame = pl.DataFrame(
                {
                    "metric": names,
                    "test": [run.metrics.get(name) for name in names],
                    "validation": [run.valid.get(name) for name in names],
                },
                schema={"metric": pl.String, "test": pl.Float64, "validation": pl.Float64},
            )
            four = {name: st.column_config.NumberColumn(name, format="%.4f") for name in ("test", "validation")}
            st.dataframe(
                frame,
                hide_index=True,
                width="stretch",
                height=height(len(names)),
                column_config=four,
                placeholder=ABSENT,
                key="metrics",
            )
            csv_button(frame, name=file_stem("metrics", run.fingerprint[:12]), label="CSV", key="csv metrics")
        else:
            st.info("This run has no numbers.")
    with right:
        fields(_facts(run), key="facts")
    _curves(run)
    units = board.query(load_units, run.fingerprint)
    with st.container(horizontal=True):
        if units is not None:
            stem = file_stem("units", run.fingerprint[:12])
            label = f"Scores of each unit ({units.height:,})"
            button(lambda: csv_text(units), name=f"{stem}.csv", mime="text/csv", label=label, key="csv units")
        text = json.dumps({"run": run.model_dump(mode="json")}, indent=2, ensure_ascii=False)
        stem = file_stem("run", run.fingerprint[:12])
        button(lambda: text, name=f"{stem}.json", mime="application/json", label="Run as JSON", key="json run")


def _facts(run: RunRecord) -> dict[str, object]:
    epoch = f"{run.best_epoch} of {run.epochs}" if run.epochs and run.best_epoch is not None else None
    memory = f"{run.peak_memory_bytes / 2**20:,.0f} MiB" if run.peak_memory_bytes else None
    return {
        "fingerprint": run.fingerprint,
        "finished": f"{run.created:%Y-%m-%d %H:%M} UTC",
        "best epoch": epoch,
        "selected by": run.select,
        "averaged over": count(run.n_units, "unit") if run.n_units else None,
        "parameters": parameters_text(run),
        "peak memory": memory,
        "device": run.device,
        **{f"{name} (s)": f"{value:,.1f}" for name, value in run.seconds.items()},
    }


def _curves(run: RunRecord) -> None:
    if not run.curve or not run.epochs:
        # What is computed in one go, a closed form, has a score and no epochs.
        return
    from leaderboard.components.sample_charts import draw_curves

    rows = [(point.epoch, name, value) for point in run.curve for name, value in point.values.items()]
    frame = pl.DataFrame(rows, schema={"epoch": pl.Int64, "name": pl.String, "value": pl.Float64}, orient="row")
    names = frame["name"].unique(maintain_order=True).to_list()
    losses = [name for name in names if name == "loss" or name.startswith("loss/")]
    valid = [name.removeprefix("valid/") for name in names if name.startswith("valid/")]
    left, right = st.columns(2, gap="medium", vertical_alignment="bottom")
    left.subheader("Learning curves", anchor=False)
    metric = pick.choose("Validation metric", valid, key="metric", default=run.select, container=right) if valid else ""
    left, right = st.columns(2, gap="medium")
    mark = run.fingerprint[:12]
    if losses:
        with left:
            draw_curves(frame, names=losses, best_epoch=run.best_epoch, title="training loss", key=f"loss {mark}")
    if valid:
        with right:
            shown = [f"valid/{metric}"]
            title = f"validation {metric}"
            draw_curves(frame, names=shown, best_epoch=run.best_epoch, title=title, key=f"valid {mark}")
    st.caption(f"The dashed line is the best epoch. {count(len(run.curve), 'epoch')} in all.")


def _samples(board: Board, whole: Whole) -> None:
    from leaderboard.components.samples import show_run

    show_run(board, whole.run.fingerprint)


def _configuration(board: Board, whole: Whole) -> None:
    from bench.cli.show import flat

    run = whole.run
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Settings", anchor=False)
        if whole.study is not None:
            study = whole.study
            st.caption(
                f"Chosen by {plain(study.sampler)} among {count(study.trials, 'trial')}, "
                f"by validation {plain(study.select)}."
            )
        else:
            st.caption("Nothing was searched: the spec's settings, and defaults for the rest.")
        if run.config:
            fields(flat(run.config), key="config")
        else:
            st.text("This method has no settings.")
    with right:
        st.subheader("Budget", anchor=False)
        fields(run.budget_detail, key="budget detail")
        if run.notes:
            st.subheader("Notes", anchor=False)
            fields(flat(run.notes), key="notes")
    if whole.views:
        st.subheader("Graphs it used", anchor=False)
        frame = pl.DataFrame(
            [
                (name, view.rows, view.cols, view.edges, view.seconds, json.dumps(view.pipeline, ensure_ascii=False))
                for name, view in whole.views.items()
            ],
            schema=["view", "rows", "columns", "edges", "seconds", "stages"],
            orient="row",
        )
        wide = {"stages": st.column_config.TextColumn("stages", width="large")}
        st.dataframe(frame, hide_index=True, width="stretch", height=height(frame.height), column_config=wide)


def _provenance(board: Board, whole: Whole) -> None:
    run, environment = whole.run, whole.environment
    commit = None
    if environment is not None:
        commit = (environment.git_commit or "not in git") + (
            " with uncommitted changes" if environment.git_dirty else ""
        )
    source = {None: "", True: " (as it is today)", False: " (has changed since)"}[whole.current]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("Made from", anchor=False)
        fields(
            {
                "commit": commit,
                "method's source": run.method_digest + source,
                "data": run.dataset_digest,
                **{f"view {name}": digest for name, digest in run.views.items()},
                "spec": f"{whole.experiment.name} ({run.spec_digest})" if whole.experiment else run.spec_digest,
                "study": run.study,
            },
            key="made from",
        )
    with right:
        st.subheader("Made on", anchor=False)
        hardware = environment.hardware if environment is not None else {}
        python = environment.python if environment is not None else None
        fields({"device": run.device, "python": python, **hardware}, key="made on")
    if environment is not None:
        with st.expander(count(len(environment.packages), "package"), icon=":material/inventory_2:"):
            fields(environment.packages, key="packages")
    with st.expander("What the fingerprint is the hash of", icon=":material/fingerprint:"):
        st.code(json.dumps(run.identity, indent=2, ensure_ascii=False, sort_keys=True), language="json")


def _repeat(board: Board, whole: Whole) -> None:
    run = whole.run
    if run.status == "skipped":
        st.info("This cell was skipped: there is nothing to repeat.")
        return
    text = repeating_spec(whole)
    st.write("This spec trains the same configuration with the same seed, and searches nothing.")
    st.code(text, language="yaml")
    stem = file_stem("repeat", run.method, run.dataset, str(run.seed))
    with st.container(horizontal=True):
        button(lambda: text, name=f"{stem}.yaml", mime="application/yaml", label="Download the spec", key="yaml run")
    st.code(f"bench run {stem}.yaml", language="sh")
    if whole.experiment is not None:
        with st.expander("The spec that this run came from, as it was written", icon=":material/description:"):
            st.code(whole.experiment.spec_text, language="yaml")


def repeating_spec(whole: Whole) -> str:
    """Returns the spec that repeats a run as YAML; its graphs are written out, whoever asked for them."""
    import yaml

    from bench.cli.export_spec import heading, spec_of

    views = {name: list(view.pipeline) for name, view in whole.views.items()}
    recipe = spec_of(whole.run, views)
    # Comments of one line: a method's name may hold anything.
    head = "\n".join(line if line.startswith("#") else f"# {line}" for line in heading(whole.run).splitlines())
    body = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return f"{head}\n{body.rstrip()}\n"
