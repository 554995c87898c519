"""Metrics: pure functions returning one value per unit, in full precision; rounding is for display."""

from bench.metrics.base import Metric

__all__ = ["Metric"]
