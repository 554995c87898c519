"""Every registered maker of images keeps the contract of its task."""

import pytest

from bench.methods.registry import METHODS
from bench.testing.generation import ImageEditorContract, ImageGeneratorContract, StoryGeneratorContract

CONTRACTS = {
    "text_to_image": ImageGeneratorContract,
    "image_editing": ImageEditorContract,
    "story": StoryGeneratorContract,
}
CASES = [
    pytest.param(contract, name, test, id=f"{name}-{test.removeprefix('test_')}")
    for task, contract in CONTRACTS.items()
    for name, cls in METHODS.items()
    if task in cls.tasks and not cls.adapter
    for test in dir(contract)
    if test.startswith("test_")
]


@pytest.mark.parametrize(("contract", "name", "test"), CASES)
def test_contract(contract, name, test):
    case = type(contract.__name__, (contract,), {"method": name})()
    getattr(case, test)()


def test_the_families_methods_are_here():
    by_task = {task: {name for name, cls in METHODS.items() if task in cls.tasks} for task in CONTRACTS}
    assert by_task["text_to_image"] >= {"galip", "dfgan", "ddpm_t2i"}
    assert by_task["image_editing"] >= {"denet", "channel_affine", "spatial_affine", "no_edit"}
    assert by_task["story"] >= {"storyimager", "storygan", "ar_story"}
