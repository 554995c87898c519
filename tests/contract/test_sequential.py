"""Every registered sequential method keeps the contract."""

from typing import Any

import pytest

from bench.methods.registry import METHODS
from bench.testing.sequential import SequentialContract

NAMES = [name for name, cls in METHODS.items() if "sequential" in cls.tasks and not cls.adapter]
SMALL: dict[str, Any] = {"batch_size": 32, "dim": 32, "lr": 5e-3, "dropout": 0.0}
OWN: dict[str, dict[str, Any]] = {
    "sasrec": {"inner": 32, "attention_dropout": 0.0},
    "gru4rec": {"hidden": 32},
    "mealrec": {"steps": 10},
    "dreamrec": {"steps": 20},
}


@pytest.mark.parametrize("method", NAMES)
class TestEverySequentialMethod(SequentialContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method):
        self.method, self.small = method, SMALL | OWN.get(method, {})


for _name in [name for name in vars(SequentialContract) if name.startswith("test_")]:

    def _case(self, method, _test=getattr(SequentialContract, _name)):  # noqa: B008 - bound per name on purpose
        _test(self)

    setattr(TestEverySequentialMethod, _name, _case)
