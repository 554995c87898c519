"""Every registered question-answering method keeps the contract, on open-ended and on five-way questions."""

import pytest

from bench.methods.registry import METHODS
from bench.testing.vqa import AnswererContract

# The contract's worlds are clips of numbers: a method that reads captions has tests of its own.
ANSWERERS = [
    name
    for name, cls in METHODS.items()
    if "vqa" in cls.tasks and not cls.adapter and "candidates" not in cls.needs.modalities
]


@pytest.mark.parametrize("choices", [0, 5], ids=["open", "five-way"])
@pytest.mark.parametrize("method", ANSWERERS)
class TestEveryAnswerer(AnswererContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method, choices):
        self.method, self.choices = method, choices


for _name in [name for name in vars(AnswererContract) if name.startswith("test_")]:

    def _case(self, method, choices, _test=getattr(AnswererContract, _name)):  # noqa: B008 - bound per name on purpose
        _test(self)

    setattr(TestEveryAnswerer, _name, _case)


def test_the_familys_methods_are_here():
    assert {"q_only", "st_vqa", "hcrn", "hga", "dualvgr"} <= set(ANSWERERS)
