"""The registry of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.tasks.base import Task

TASKS: Registry[Task] = Registry("task")
TASKS.register("recommendation", "bench.tasks.recommendation:TASK")
TASKS.register("sequential", "bench.tasks.sequential:TASK")
TASKS.register("classification", "bench.tasks.classification:TASK")
TASKS.register("vqa", "bench.tasks.vqa:TASK")
