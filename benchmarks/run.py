"""Seconds per epoch, seconds per evaluated split and peak memory of `bench` against the usual implementation.

    python -m benchmarks.run                          # a tenth of an epoch at a time, about five minutes
    python -m benchmarks.run --epochs-fraction 1      # whole epochs
    python -m benchmarks.run --json > result.json

Rows are Amazon Baby's where `$BENCH_DATA` has it, else those of its generated twin; features are generated, of Baby's
sizes (4096 and 384). Before anything is timed, both sides must agree on loss, gradients and metrics
(`benchmarks.check`). Each side runs in a process of its own, the two in alternating order. Training is timed on part
of an epoch, after one such part to warm up, and scaled by rows to a whole epoch; evaluation is timed on whole splits,
after one to warm up. Processor seconds (all threads) are steadier than the clock where other processes run. Peak memory
is the process's resident peak during training and during evaluation, data and code included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import inputs, sides

SIDES = ("ours", "reference")
EVALUATED = ("mgcn", "lightgcn")


def child(module: str, *arguments: str, threads: int) -> Any:
    """Runs a module of this package in a process of its own and returns the JSON it prints last."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[3:])} failed with exit code {done.returncode}; see above.")
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Returns case to side to one measurement per round."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {case: {side: [] for side in SIDES} for case in arguments.cases}
    for number in range(arguments.rounds):
        for case in arguments.cases:
            evaluations = arguments.evaluations if number == 0 and case in EVALUATED else 0
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                note(f"round {number + 1} of {arguments.rounds}: {sides.CASES[case].title}, {side}")
                options = {
                    "fraction": arguments.epochs_fraction,
                    "repeats": arguments.repeats,
                    "evaluations": evaluations,
                    "threads": arguments.threads,
                }
                flags = [f"--{name}={value}" for name, value in options.items()]
                found[case][side].append(child("worker", str(folder), case, side, *flags, threads=arguments.threads))
    return found


def summarise(samples: list[float]) -> dict[str, float]:
    """Returns median, extremes and number of samples."""
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "n": len(samples)}


def rows_of(found: dict[str, dict[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Returns one row per measured quantity: both sides' summaries and reference over ours."""
    rows = []

    def add(what: str, unit: str, samples: dict[str, list[float]]) -> None:
        if all(samples.values()):
            ours, reference = (summarise(samples[side]) for side in SIDES)
            ratio = reference["median"] / ours["median"]
            rows.append({"what": what, "unit": unit, "ours": ours, "reference": reference, "ratio": ratio})

    for case, by_side in found.items():
        title = sides.CASES[case].title
        timed = {f"{title}: epoch": {side: [s for run in runs for s in run["epoch"]] for side, runs in by_side.items()}}
        for split in ("valid", "test"):
            timed[f"{title}: evaluate {split}"] = {
                side: [s for run in runs for s in run["evaluate"].get(split, [])] for side, runs in by_side.items()
            }
        for what, samples in timed.items():
            for place, unit in enumerate(("s", "processor s")):
                add(what, unit, {side: [sample[place] for sample in taken] for side, taken in samples.items()})
        for key, what in (("peak_train", "peak of training"), ("peak_evaluate", "peak of evaluation")):
            peaks = {side: [run[key] / 2**20 for run in runs if run[key]] for side, runs in by_side.items()}
            add(f"{title}: {what}", "MiB", peaks)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as a Markdown table."""
    lines = [
        "| | unit | ours: median (min–max) | reference: median (min–max) | reference / ours |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        digits = 0 if row["unit"] == "MiB" else 2
        cells = [
            f"{side['median']:.{digits}f} ({side['min']:.{digits}f}–{side['max']:.{digits}f})"
            for side in (row["ours"], row["reference"])
        ]
        lines.append(f"| {row['what']} | {row['unit']} | {cells[0]} | {cells[1]} | {row['ratio']:.2f} |")
    return "\n".join(lines)


def note(text: str) -> None:
    """Tells on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Prepares, checks, measures, prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs-fraction", type=float, default=0.1, help="part of an epoch per sample (default 0.1)")
    parser.add_argument("--repeats", type=int, default=2, help="samples per process, after one to warm up (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="processes per side, in alternating order (default 2)")
    parser.add_argument(
        "--evaluations", type=int, default=1, help="evaluations per split, first round only (default 1)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads per process (default 1, as a job has)")
    parser.add_argument("--cases", nargs="+", choices=sides.CASES, default=list(sides.CASES), metavar="CASE")
    parser.add_argument("--folder", type=Path, help="keep prepared inputs here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    if not 0 < arguments.epochs_fraction <= 1:
        parser.error(f"0 < --epochs-fraction <= 1 must hold, but got {arguments.epochs_fraction}")
    begun, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-benchmarks-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "facts.json").exists():
            note("preparing inputs")
            inputs.prepare(folder)
        note("checking that both sides compute the same numbers")
        checked = child(
            "check",
            str(folder),
            *dict.fromkeys(sides.CASES[case].method for case in arguments.cases),
            threads=arguments.threads,
        )
        found = measure(folder, arguments)
        source = json.loads((folder / "facts.json").read_text())["source"]
    rows = rows_of(found)
    machine = {
        "cores": os.cpu_count(),
        "processor": processor(),
        "threads": arguments.threads,
        "load_average_before": round(load, 2),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    one = found[arguments.cases[0]]["ours"][0]
    if arguments.json:
        print(
            json.dumps({"source": source, "machine": machine, "checked": checked, "rows": rows, "raw": found}, indent=1)
        )
        return
    print(table(rows))
    largest = {kind: max(values[kind] for values in checked.values()) for kind in ("loss", "gradient", "metric")}
    print(
        f"\nRows of {source}; {one['batches']} of {one['batches_per_epoch']} batches per sample, scaled to an epoch. "
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}, "
        f"load average before: {machine['load_average_before']}.\n"
        "Checked before timing, largest differences: "
        + ", ".join(f"{kind} {value:.1g}" for kind, value in largest.items())
        + f". {time.perf_counter() - begun:.0f} s in all."
    )
    if load > 0.5:
        print("Other processes were running: trust the rows in processor seconds of one thread, not the clock.")


def processor() -> str:
    """Returns the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
