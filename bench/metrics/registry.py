"""The registry of metric families; third parties add theirs under the entry-point group `bench.metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.metrics.base import MetricFamily

METRICS: Registry[MetricFamily] = Registry("metric", group="bench.metrics")
for _name in ("recall", "precision", "ndcg", "map", "hit", "mrr"):
    METRICS.register(_name, f"bench.metrics.ranking:{_name.upper()}")
for _name in ("top1", "top5", "nll", "macro_f1", "ece", "class_accuracy"):
    METRICS.register(_name, f"bench.metrics.classification:{_name.upper()}")
for _name in ("accuracy", "wups"):
    METRICS.register(_name, f"bench.metrics.vqa:{_name.upper()}")
for _name in (
    "fid",
    "kid",
    "is",
    "clip_score",
    "no_edit_clip_score",
    "manipulation_precision",
    "l2",
    "target_error",
    "no_edit_target_error",
    "fsd",
    "attribute_f1",
    "frame_accuracy",
    "real_attribute_f1",
    "real_frame_accuracy",
    "consistency",
    "given_exact",
    "seconds_per_image",
    "seconds_per_story",
):
    METRICS.register(_name, f"bench.metrics.generation:{_name.upper()}")
