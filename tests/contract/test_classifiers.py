"""Every registered image classifier keeps the contract."""

import pytest

from bench.methods.registry import METHODS
from bench.testing.classification import ClassifierContract, build, fit, logits_of, small_config, small_world

CLASSIFIERS = {name: cls for name, cls in METHODS.items() if "classification" in cls.tasks}
ADAPTED = [
    (adapter, method)
    for adapter, adapter_class in CLASSIFIERS.items()
    if adapter_class.adapter
    for method, method_class in CLASSIFIERS.items()
    if not method_class.adapter and adapter_class.compatible(method_class) is None
]
BARE = [(method, None) for method, method_class in CLASSIFIERS.items() if not method_class.adapter]


@pytest.mark.parametrize(("method", "wrap"), [*BARE, *ADAPTED], ids=lambda value: str(value))
class TestEveryClassifier(ClassifierContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method, wrap):
        self.method, self.wrap = method, wrap


for _name in [name for name in vars(ClassifierContract) if name.startswith("test_")]:

    def _case(self, method, wrap, _test=getattr(ClassifierContract, _name)):  # noqa: B008 - bound per name on purpose
        _test(self)

    setattr(TestEveryClassifier, _name, _case)


@pytest.mark.parametrize(("adapter", "wrapped"), ADAPTED)
def test_a_switched_off_adapter_is_the_bare_method_bit_for_bit(adapter, wrapped):
    data = small_world()
    entry = {"method": adapter, "wrap": {"method": wrapped}}
    config = small_config(entry) | {"ema": False, "cdr": False}
    adapted, bare = build(entry, data, config=config, seed=5), build({"method": wrapped}, data, seed=5)
    curves = []
    for method in (adapted, bare):
        result = fit(method, data, epochs=2, seed=5)
        curves.append([{k: v for k, v in p.values.items() if not k.startswith("seconds")} for p in result.curve])
    assert curves[0] == curves[1]
    assert logits_of(adapted, data).equal(logits_of(bare, data))
    assert len(adapted.state_dict()) == len(bare.state_dict())
    for name, weight in bare.state_dict().items():
        assert weight.equal(adapted.state_dict()[f"wrapped.{name}"])


def test_the_families_methods_are_here():
    assert {"resnet", "vit", "clip_align", "privileged_text", "marnet"} <= set(CLASSIFIERS)
    assert {wrapped for adapter, wrapped in ADAPTED if adapter == "marnet"} >= {"resnet", "vit", "clip_align"}
