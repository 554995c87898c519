"""Numbers that papers print, to stand beside ours. They are quoted, never computed with, and never ranked.

Only tables whose data, split and rules of scoring are those of one of our protocols are here. Every entry says where it
was printed and what in its making differs from ours, above all whether something was chosen by the test score.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One printed number."""

    task: str
    dataset: str
    protocol: str
    method: str
    metric: str
    value: float
    source: str
    """Where it was printed."""
    note: str
    """What differs from how this project trains and scores; "" when nothing is known to."""


class _Source(NamedTuple):
    text: str
    note: str


_RANKING = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
_GRID = "Grid chosen by test recall@20; raw 4096-d image and 384-d text features, which not every copy of the data has."
_MGCN = _Source("Yu et al., Multi-View Graph Convolutional Network, ACM MM 2023, Table 2 (arXiv 2308.03588)", _GRID)
_PGL = _Source("Table in the repository of PGL (demonph10/PGL), on MMRec's split", _GRID)
_DIFFMM = _Source(
    "Jiang et al., DiffMM, ACM MM 2024, overall comparison (arXiv 2406.11781)",
    "Epoch chosen on the test split; on TikTok with text features, which are not in the published files.",
)
_DUALVGR = _Source(
    "Result tables in the repository of DualVGR (NJUPT-MCC/DualVGR-VideoQA; IEEE TMM 2021, arXiv 2107.04768)", ""
)
_TIGER = _Source(
    "Rajput et al., TIGER, NeurIPS 2023, Table 1 (arXiv 2305.05065): the baselines as S3-Rec ran them",
    "SASRec trained with binary cross-entropy against sampled negatives (here `objective: bce`), not over all items.",
)

_TABLES: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...], _Source, dict[str, str]], ...] = (
    (
        "recommendation",
        ("baby", "sports", "clothing"),
        "mmrec-v1",
        _RANKING,
        _MGCN,
        {
            "bpr": ".0357 .0575 .0192 .0249 | .0432 .0653 .0241 .0298 | .0187 .0279 .0103 .0126",
            "lightgcn": ".0479 .0754 .0257 .0328 | .0569 .0864 .0311 .0387 | .0340 .0526 .0188 .0236",
            "vbpr": ".0423 .0663 .0223 .0284 | .0558 .0856 .0307 .0384 | .0280 .0414 .0159 .0193",
            "mmgcn": ".0378 .0615 .0200 .0261 | .0370 .0605 .0193 .0254 | .0197 .0328 .0101 .0135",
            "grcn": ".0532 .0824 .0282 .0358 | .0559 .0877 .0306 .0389 | .0424 .0650 .0225 .0283",
            "slmrec": ".0540 .0810 .0285 .0357 | .0676 .1017 .0374 .0462 | .0452 .0675 .0247 .0303",
            "bm3": ".0564 .0883 .0301 .0383 | .0656 .0980 .0355 .0438 | .0421 .0625 .0228 .0280",
            "mgcn": ".0620 .0964 .0339 .0427 | .0729 .1106 .0397 .0496 | .0641 .0945 .0347 .0428",
        },
    ),
    (
        "recommendation",
        ("baby", "sports", "clothing"),
        "mmrec-v1",
        _RANKING,
        _PGL,
        {
            "lattice": ".0547 .0850 .0292 .0370 | .0620 .0953 .0335 .0421 | .0492 .0733 .0268 .0330",
            "freedom": ".0627 .0992 .0330 .0424 | .0717 .1089 .0385 .0481 | .0629 .0941 .0341 .0420",
        },
    ),
    (
        "recommendation",
        ("tiktok", "baby"),
        "diffmm-v1",
        ("recall@20", "ndcg@20"),
        _DIFFMM,
        {
            "bpr": ".0346 .0130 | .0440 .0200",
            "lightgcn": ".0653 .0282 | .0698 .0319",
            "vbpr": ".0380 .0134 | .0486 .0213",
            "mmgcn": ".0730 .0307 | .0640 .0284",
            "lattice": ".0843 .0367 | .0829 .0368",
            "slmrec": ".0845 .0353 | .0765 .0325",
            "bm3": ".0957 .0404 | .0839 .0361",
            "diffmm": ".1129 .0456 | .0975 .0411",
        },
    ),
    (
        "sequential",
        ("beauty",),
        "loo-v1",
        ("hit@10", "ndcg@10"),
        _TIGER,
        {"gru4rec": ".0283 .0137", "sasrec": ".0605 .0318"},
    ),
    (
        "vqa",
        ("msvd-qa", "msrvtt-qa"),
        "official-v1",
        ("accuracy",),
        _DUALVGR,
        {"hga": ".347 | .355", "hcrn": ".361 | .356", "dualvgr": ".3903 | .3552"},
    ),
    ("vqa", ("svqa",), "official-v1", ("accuracy",), _DUALVGR, {"dualvgr": ".5038"}),
)


def _read() -> tuple[Published, ...]:
    found = []
    for task, datasets, protocol, metrics, source, rows in _TABLES:
        for method, line in rows.items():
            for dataset, numbers in zip(datasets, line.split("|"), strict=True):
                for metric, number in zip(metrics, numbers.split(), strict=True):
                    found.append(Published(task, dataset, protocol, method, metric, float(number), *source))
    return tuple(found)


PUBLISHED = _read()
"""Everything that is quoted."""


def published(task: str, dataset: str, protocol: str) -> dict[tuple[str, str], Published]:
    """Returns the printed numbers of one table by (method, metric); empty when none is known."""
    return {
        (entry.method, entry.metric): entry
        for entry in PUBLISHED
        if (entry.task, entry.dataset, entry.protocol) == (task, dataset, protocol)
    }
