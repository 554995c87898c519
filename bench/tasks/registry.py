"""The registry of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.tasks.base import Task

TASKS: Registry[Task] = Registry("task")
TASKS.register("recommendation", "bench.tasks.recommendation:TASK")
TASKS.register("cold_start", "bench.tasks.cold_start:TASK")
TASKS.register("sequential", "bench.tasks.sequential:TASK")
TASKS.register("classification", "bench.tasks.classification:TASK")
TASKS.register("vqa", "bench.tasks.vqa:TASK")
TASKS.register("text_to_image", "bench.tasks.text_to_image:TASK")
TASKS.register("image_editing", "bench.tasks.image_editing:TASK")
TASKS.register("story", "bench.tasks.story:TASK")
