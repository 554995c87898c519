"""The Typer application: which verbs exist, and what an error of each kind looks like."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from bench.cli import (
    attribute,
    compare,
    data,
    datasets,
    export_spec,
    gate,
    leaderboard,
    merge,
    methods,
    metrics,
    output,
    plan,
    prune,
    report,
    run,
    sample,
    schema,
    show,
    status,
    tasks,
    validate,
    version,
)
from bench.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PIPE, BenchError, UserError

if TYPE_CHECKING:
    from types import ModuleType

VERBS: dict[str, ModuleType] = {
    "run": run,
    "plan": plan,
    "validate": validate,
    "status": status,
    "report": report,
    "compare": compare,
    "gate": gate,
    "leaderboard": leaderboard,
    "show": show,
    "attribute": attribute,
    "sample": sample,
    "export-spec": export_spec,
    "merge": merge,
    "prune": prune,
    "methods": methods,
    "datasets": datasets,
    "metrics": metrics,
    "tasks": tasks,
    "schema": schema,
    "version": version,
}

HELP = "Ask a question about multimodal methods in a spec; get an answer that can be trusted, compared and repeated."
EPILOG = "Start with: bench run specs/quickstart.yaml"


class BenchGroup(TyperGroup):
    """Turns the errors `bench` understands into a message and an exit code; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a verb."""
        warnings.showwarning = _show_warning
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                # Here, where a reader that left and a full disk have an exit code.
                sys.stdout.flush()
            return result
        except BenchError as error:
            output.error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            output.note("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (`| head`) left.
            _no_more_output()
            raise typer.Exit(EXIT_PIPE) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            _no_more_output()
            output.error(UserError("the disk is full.", hint="Make room; what was stored is kept."))
            raise typer.Exit(EXIT_FAILED) from None


def _no_more_output() -> None:
    """Python would complain again when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning) and not issubclass(category, DeprecationWarning):
        output.warn(str(message))


def build() -> typer.Typer:
    """Returns the application; its help is boxed by Rich on a terminal and plain in a pipe."""
    markup = "rich" if sys.stdout is not None and sys.stdout.isatty() else None
    app = typer.Typer(
        name="bench",
        cls=BenchGroup,
        help=HELP,
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode=markup,  # type: ignore[arg-type]
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, module in VERBS.items():
        app.command(name, epilog=f"Example: {module.EXAMPLE}", cls=getattr(module, "COMMAND", None))(module.command)
    app.add_typer(data.build(markup), name="data")
    return app


def _options(
    _version: bool = typer.Option(False, "--version", callback=version.eager, is_eager=True, help="Print the version."),
) -> None:
    pass
