from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bench.errors import DataError, DeviceError, DivergedError
from bench.execution.jobs import STATUS_OF
from bench.execution.worker import (
    JobTimeoutError,
    classify,
    load_runner,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DivergedError("x", epoch=1), "diverged"),
        (JobTimeoutError("x"), "timeout"),
        (DataError("x"), "data"),
        (DeviceError("x"), "user"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("x"), "oom"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), "oom"),
        (RuntimeError("shapes differ"), "method"),
        (SystemExit(1), "method"),
    ],
)
def test_every_exception_has_a_class(error, expected):
    assert classify(error) == expected
    assert expected in STATUS_OF


def test_peak_memory_is_that_of_the_job_not_of_the_process():
    # In a process of its own: one that ran thousands of tests has free memory to give without asking for more.
    script = """
import torch
from bench.execution.worker import peak_memory_bytes, reset_peak_memory, resident_bytes
block = torch.ones(30_000_000)
del block
reset_peak_memory()
base = peak_memory_bytes("cpu")
assert base < resident_bytes() + 60e6, "the peak before the reset is forgotten"
block = torch.ones(10_000_000)
assert peak_memory_bytes("cpu") >= base + 30e6, (base, peak_memory_bytes("cpu"))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_runner_is_found_by_name():
    assert load_runner("bench.execution.worker:load_runner") is load_runner
