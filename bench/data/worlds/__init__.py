"""Generated datasets: seeded worlds whose truth is known, for tests, quick starts and machines without data."""

from bench.data.worlds.make import ensure_world, make_dataset

__all__ = ["ensure_world", "make_dataset"]
