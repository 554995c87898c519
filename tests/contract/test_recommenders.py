"""Every registered recommendation method keeps the contract."""

import pytest

from bench.methods.registry import METHODS
from bench.testing.recommendation import RecommenderContract, build, default_config, fit, small_world

RECOMMENDERS = {name: cls for name, cls in METHODS.items() if "recommendation" in cls.tasks}
ADAPTED = [
    (adapter, method)
    for adapter, adapter_class in RECOMMENDERS.items()
    if adapter_class.adapter
    for method, method_class in RECOMMENDERS.items()
    if not method_class.adapter and adapter_class.compatible(method_class) is None
]
BARE = [(method, None) for method, method_class in RECOMMENDERS.items() if not method_class.adapter]


@pytest.mark.parametrize(("method", "wrap"), [*BARE, *ADAPTED], ids=lambda value: str(value))
class TestEveryRecommender(RecommenderContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method, wrap):
        self.method, self.wrap = method, wrap


for _name in [name for name in vars(RecommenderContract) if name.startswith("test_")]:

    def _case(self, method, wrap, _test=getattr(RecommenderContract, _name)):  # noqa: B008 - bound per name on purpose
        _test(self)

    setattr(TestEveryRecommender, _name, _case)


@pytest.mark.parametrize(("adapter", "wrapped"), ADAPTED)
def test_a_switched_off_adapter_is_the_bare_method_bit_for_bit(adapter, wrapped):
    data = small_world()
    entry = {"method": adapter, "wrap": {"method": wrapped}}
    config = default_config(entry) | {"enabled": False}
    adapted, bare = build(entry, data, config=config, seed=5), build({"method": wrapped}, data, seed=5)
    curves = []
    for method in (adapted, bare):
        result = fit(method, data, epochs=3, seed=5)
        curves.append([{k: v for k, v in p.values.items() if not k.startswith("seconds")} for p in result.curve])
    assert curves[0] == curves[1]
    for name, weight in bare.state_dict().items():
        assert weight.equal(adapted.state_dict()[f"wrapped.{name}"])
