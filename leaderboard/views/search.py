"""Search: how a configuration was found. Trials, what mattered, and what more trials could be expected to bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from bench.analysis.index import tables
from bench.analysis.report import GENERATED
from bench.analysis.search import expected_best, trial_values
from bench.store.index import studies
from leaderboard.components import pick
from leaderboard.components.tables import height, paged
from leaderboard.components.text import count, one_line, plain

if TYPE_CHECKING:
    from bench.store import Store
    from bench.store.records import StudyRecord, TrialRecord
    from leaderboard.components.board import Board
    from leaderboard.components.pick import Place, TableChoice

EXAMPLE = """experiments:
  - task: recommendation
    datasets: [baby]
    methods:
      - {method: mgcn, space: {contrast: {log: [1.0e-4, 1.0e-1]}}}
search: {sampler: tpe, pruner: hyperband}
budgets:
  full: {trials: 20, epochs: 1000, patience: 20, seeds: [0, 1, 2]}"""
"""What a spec says to search."""
FINISHED = "done"


def load_studies(store: Store, task: str, dataset: str, protocol: str, budget: str) -> list[StudyRecord]:
    """Returns the searches of one table, newest first."""
    return studies(store, task=task, dataset=dataset, protocol=protocol, budget=budget)


def load_places(store: Store) -> list[Place]:
    """Returns where something was searched, newest first."""
    found = studies(store)
    return list(dict.fromkeys((study.task, study.dataset, study.protocol, study.budget) for study in found))


def load_trials(store: Store, study: str) -> list[TrialRecord]:
    """Returns the trials of a search."""
    return store.trials(study)


def render(board: Board) -> None:
    """Draws the page."""
    st.title("Search")
    choice = pick.table(board, prefer=board.query(load_places))
    if choice.generated:
        st.warning(GENERATED, icon=":material/science:")
    found = board.query(load_studies, choice.task, choice.dataset, choice.protocol, choice.budget)
    if not found:
        _nothing(board, choice)
        return
    columns = st.columns([2, 3])
    methods = sorted({study.method for study in found})
    method = pick.choose("Method", methods, key="method", container=columns[0])
    mine = {study.fingerprint: study for study in found if study.method == method}
    label = {name: f"{study.created:%Y-%m-%d %H:%M} · {name[:12]}" for name, study in mine.items()}
    name = pick.choose("Search", list(mine), key="study", format=lambda key: label[key], container=columns[1])
    _study(board, choice, mine[name])


def _nothing(board: Board, choice: TableChoice) -> None:
    st.info("Nothing was searched here: every method ran with the settings its spec or its defaults gave it.")
    st.text(f"{choice.task} · {choice.dataset} ({choice.protocol}) · budget {choice.budget}: {choice.effort}")
    places = board.query(load_places)
    every = tables(board.rows()) if places else []
    searched = [t for t in every if pick.place_of(t) in places]
    if searched:
        st.text(f"Searched: {count(len(searched), 'other table')}.")
        for table in searched[:10]:
            where = pick.where(board, table.key)
            board.link("search", " · ".join(map(plain, where.values())), **where)
        return
    st.text("No run in this store had a search. A spec asks for one with a budget that grants trials:")
    st.code(EXAMPLE, language="yaml")


def _study(board: Board, choice: TableChoice, study: StudyRecord) -> None:
    trials = board.query(load_trials, study.fingerprint)
    if not trials:
        st.info("This search has no trial yet.")
        return
    finished = [trial for trial in trials if trial.status == FINISHED]
    pruned = sum(trial.status == "pruned" for trial in trials)
    best = next((trial for trial in trials if trial.number == study.best_trial), None)
    columns = st.columns(5)
    columns[0].metric("Trials", f"{len(trials)} of {study.trials}")
    columns[1].metric("Pruned", f"{pruned}", help="Stopped early because others were better at the same epoch.")
    columns[2].metric("Not finished", f"{len(trials) - len(finished) - pruned}")
    value = "–" if best is None or best.value is None else f"{best.value:.4f}"
    columns[3].metric(
        f"Best {plain(study.select)}", value, help="On the validation split: a search never sees the test."
    )
    columns[4].metric("Hours", f"{sum(trial.seconds for trial in trials) / 3600:.2f}", help="Sum over trials.")
    st.text(f"{study.sampler} sampler, {study.pruner} pruner, {study.direction} {study.select} on validation")
    _charts(study, trials)
    _table(study, trials)


def _charts(study: StudyRecord, trials: list[TrialRecord]) -> None:
    from leaderboard.components import search_charts

    search_charts.draw_history(study, trials)
    left, right = st.columns(2, gap="medium")
    with left:
        search_charts.draw_importances(study, trials)
    with right:
        values = trial_values(trials)
        search_charts.draw_expected(study, expected_best(values, direction=study.direction))
    search_charts.draw_parallel(study, trials)


def _table(study: StudyRecord, trials: list[TrialRecord]) -> None:
    st.subheader("Trials", anchor=False)
    frame = trials_frame(study, trials)
    shown = paged(frame)
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    columns = {
        "trial": number("trial", width=60),
        "status": text("status", width=90),
        study.select: number(study.select, format="%.4f", width=100),
        "epochs": number("epochs", width=70),
        "seconds": number("seconds", format="%.0f", width=80),
        "suggested": text("suggested", width="large"),
        "what happened": text("what happened", width="medium"),
    }
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=height(shown.height, most=15),
        column_config=columns,
        key="trials",
    )


def trials_frame(study: StudyRecord, trials: list[TrialRecord]) -> pl.DataFrame:
    """Returns a row per trial, best first, those without a value last."""
    frame = pl.DataFrame(
        {
            "trial": [trial.number for trial in trials],
            "status": [trial.status for trial in trials],
            study.select: pl.Series([trial.value for trial in trials], dtype=pl.Float64),
            "epochs": [trial.epochs for trial in trials],
            "seconds": pl.Series([trial.seconds for trial in trials], dtype=pl.Float64),
            "suggested": [", ".join(f"{k}={one_line(v)}" for k, v in trial.params.items()) for trial in trials],
            "what happened": [one_line((trial.error or "").strip().partition("\n")[0]) for trial in trials],
        }
    )
    if not any(trial.error for trial in trials):
        frame = frame.drop("what happened")
    return frame.sort(study.select, "trial", descending=[study.direction == "maximize", False], nulls_last=True)
