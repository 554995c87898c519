"""`methods`, `datasets`, `metrics` and `tasks`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli.app import build

runner = CliRunner()


def invoke(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(build(), list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def listed(verb: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(invoke(verb, "--json"))}


@pytest.mark.parametrize("verb", ["methods", "datasets", "metrics", "tasks"])
def test_what_is_listed_for_people_is_listed_for_machines(verb: str) -> None:
    lines = invoke(verb).splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(listed(verb))
    assert all(row.get("title") or row.get("summary") for row in listed(verb).values())


@pytest.mark.parametrize(
    ("verb", "name", "nearest"),
    [
        ("methods", "lightgnc", "lightgcn"),
        ("datasets", "babby", "baby"),
        ("metrics", "recal@20", "recall"),
        ("tasks", "recomendation", "recommendation"),
    ],
)
def test_an_unknown_name_is_the_users_error_and_the_nearest_is_named(verb: str, name: str, nearest: str) -> None:
    errors = invoke(verb, name, code=2)
    assert f"Did you mean '{nearest}'?" in errors


def test_every_method_describes_its_settings_and_views() -> None:
    for name in listed("methods"):
        details = json.loads(invoke("methods", name, "--json"))
        assert details["documentation"]
        for field in details["fields"]:
            assert field["help"], f"{name}.{field['name']}"
            assert field["type"] != "any"


def test_a_method_shows_default_bounds_domain_help_and_stages() -> None:
    text = invoke("methods", "mgcn")
    assert "contrast" in text
    assert "knn(modality=image" in text
    assert "→ sym_norm" in text
    details = json.loads(invoke("methods", "mgcn", "--json"))
    contrast = next(field for field in details["fields"] if field["name"] == "contrast")
    assert (contrast["type"], contrast["default"]) == ("float", 0.01)
    assert contrast["space"] == {"choices": [0.001, 0.01, 0.1]}
    assert set(details["views"]) == {"ui", "image", "text"}


def test_a_closed_form_and_an_adapter_say_so() -> None:
    assert "closed form" in invoke("methods", "ease")
    assert "wraps" in invoke("methods", "befa")


def test_a_card_names_source_licence_and_oddities() -> None:
    text = invoke("datasets", "baby")
    for part in ("licence", "source", "mmrec-v1", "image", "known issue"):
        assert part in text
    assert json.loads(invoke("datasets", "baby", "--json"))["sizes"]["users"] == 19445


def test_a_metric_may_be_named_with_or_without_its_cut_off() -> None:
    assert invoke("metrics", "recall") == invoke("metrics", "recall@20")
    assert invoke("metrics", "fsd").startswith("fsd[NETWORK,MODE] · minimize · ")
    assert json.loads(invoke("metrics", "ndcg@5", "--json"))["direction"] == "maximize"


def test_a_task_names_what_fits_it() -> None:
    details = json.loads(invoke("tasks", "recommendation", "--json"))
    assert {"baby", "tiktok"} <= set(details["datasets"])
    assert {"mgcn", "mostpop"} <= set(details["methods"])
    assert "mmrec-v1" in details["protocols"]
