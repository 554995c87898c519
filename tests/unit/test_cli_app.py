from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bench.cli import app as app_module
from bench.cli.app import VERBS, build
from bench.errors import BenchError, UserError

runner = CliRunner()

HEAVY = ("torch", "dgl", "polars", "sqlalchemy", "alembic", "optuna", "pydantic", "numpy", "yaml", "streamlit", "scipy")


def loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_loads_nothing_heavy() -> None:
    code = (
        "from typer.testing import CliRunner\nfrom bench.cli.app import build\nCliRunner().invoke(build(), ['--help'])"
    )
    assert loaded_by(code).isdisjoint(HEAVY)


def test_importing_bench_loads_nothing_heavy() -> None:
    assert loaded_by("import bench").isdisjoint(HEAVY)


def test_every_public_name_exists() -> None:
    import bench

    assert len(bench.__all__) <= 20
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert dir(bench) == sorted(bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bench.nothing  # noqa: B018


def test_help_lists_every_verb() -> None:
    result = runner.invoke(build(), ["--help"])
    assert result.exit_code == 0
    for verb in [*VERBS, "data"]:
        assert f"\n  {verb} " in result.stdout


@pytest.mark.parametrize("verb", [*([v] for v in VERBS), *(["data", v] for v in ("list", "info", "get", "make"))])
def test_every_verb_explains_itself_with_an_example(verb: list[str]) -> None:
    result = runner.invoke(build(), [*verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: bench {' '.join(verb)}" in result.stdout
    assert "│" not in result.stdout


def test_an_unknown_verb_is_the_users_error_and_names_the_nearest() -> None:
    result = runner.invoke(build(), ["raport"])
    assert result.exit_code == 2
    assert "report" in result.stderr


def test_an_unknown_option_is_the_users_error() -> None:
    assert runner.invoke(build(), ["schema", "--jsn"]).exit_code == 2


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (
            UserError("the file is gone.", hint="Look elsewhere."),
            2,
            "error: the file is gone.\nhint: Look elsewhere.\n",
        ),
        (BenchError("the work failed."), 1, "error: the work failed.\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_known_errors_become_a_message_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, message: str
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(app_module.version, "command", fail)
    result = runner.invoke(build(), ["version"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", message)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(app_module.version, "command", fail)
    assert isinstance(runner.invoke(build(), ["version"]).exception, ZeroDivisionError)


def test_an_exit_code_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise typer.Exit(1)

    monkeypatch.setattr(app_module.version, "command", leave)
    assert runner.invoke(build(), ["version"]).exit_code == 1


def test_a_reader_that_leaves_is_no_traceback() -> None:
    program = "from bench.cli import main; import sys; sys.argv = ['bench', 'schema']; main()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.wait()
    process.stderr.close()
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_warnings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def warn() -> None:
        warnings.warn("a plugin is broken", stacklevel=1)

    monkeypatch.setattr(app_module.version, "command", warn)
    result = runner.invoke(build(), ["version"])
    assert result.stderr == "warning: a plugin is broken\n"


def test_version_names_itself_and_its_ground() -> None:
    from bench import __version__

    assert runner.invoke(build(), ["--version"]).stdout == f"bench {__version__}\n"
    report = json.loads(runner.invoke(build(), ["version", "--json"]).stdout)
    assert report["bench"] == __version__
    assert report["packages"]["torch"]


def test_schema_is_a_json_schema_of_specs() -> None:
    schema = json.loads(runner.invoke(build(), ["schema"]).stdout)
    assert {"experiments", "budgets", "search"} <= set(schema["properties"])
