"""Tasks: what is asked of a method and how it is scored."""

from bench.tasks.registry import TASKS

__all__ = ["TASKS"]
