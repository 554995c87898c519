"""Every registered cold-start method keeps the contract."""

import pytest
import torch

from bench.methods.registry import METHODS
from bench.tasks.cold_start import COLD_VALID, REPORTED, score
from bench.testing.cold_start import ColdStartContract, fit, scores_of, small_config, small_world
from bench.testing.recommendation import build

OWN = {name: cls for name, cls in METHODS.items() if cls.tasks == {"cold_start"}}
GENERAL = [name for name in ("bpr", "vbpr", "deepstyle", "amr") if name in METHODS]
BARE = [(name, None) for name, cls in OWN.items() if not cls.adapter]
ADAPTED = [
    (name, inner)
    for name, cls in OWN.items()
    if cls.adapter
    for inner in [*GENERAL, *(bare for bare, _ in BARE)]
    if cls.compatible(METHODS.get(inner)) is None
]


def test_the_promised_baselines_are_registered():
    assert {"content_knn", "dropoutnet"} <= set(OWN)


@pytest.mark.parametrize(("method", "wrap"), [*BARE, ("vbpr", None), *ADAPTED], ids=lambda value: str(value))
class TestEveryColdStartMethod(ColdStartContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method, wrap):
        self.method, self.wrap = method, wrap


WORLD = small_world(annotated=False)
INFOS = {name: modality.info for name, modality in WORLD.modalities.items()}
FITTING = [
    name
    for name, cls in METHODS.items()
    if {"recommendation", "cold_start"} <= cls.tasks and not cls.adapter and cls.needs.missing("world", INFOS) is None
]


@pytest.mark.parametrize("name", FITTING)
def test_every_general_method_that_fits_the_content_ranks_cold_items_too(name):
    entry = {"method": name}
    method = build(entry, WORLD, config=small_config(entry))
    fit(method, WORLD, epochs=1)
    assert bool(torch.isfinite(scores_of(method)).all())
    found = score(method, WORLD, WORLD.valid, [WORLD.train], COLD_VALID, REPORTED).values
    assert set(found) == set(REPORTED) and all(0.0 <= value <= 1.0 for value in found.values())


for _name in [name for name in vars(ColdStartContract) if name.startswith("test_")]:

    def _case(self, method, wrap, _test=getattr(ColdStartContract, _name)):  # noqa: B008 - bound per name on purpose
        _test(self)

    setattr(TestEveryColdStartMethod, _name, _case)
