"""Nothing but a run's evaluation reaches the test split."""

import pytest

from bench.data import dataset as module
from bench.execution.jobs import Job
from bench.execution.run_job import run_job
from bench.methods.registry import METHODS
from bench.testing.recommendation import default_config

BARE = [(name, None) for name, cls in METHODS.items() if not cls.adapter]
ADAPTED = [
    (name, wrap)
    for name, cls in METHODS.items()
    if cls.adapter
    for wrap, inner in METHODS.items()
    if not inner.adapter and cls.tasks & inner.tasks and cls.compatible(inner) is None
]
DATASET = "baby-twin@0.02"
WORLDS = {
    "recommendation": (DATASET, "recall@20"),
    "cold_start": ("cold-twin@0.02", "recall@20[cold]"),
    "sequential": ("microvideo-twin@0.05", "ndcg@10"),
    "classification": ("dishes@0.02", "top1"),
    "vqa": ("shapes-videoqa@0.02", "accuracy"),
    "text_to_image": ("shapes-captions@0.01", "seconds_per_image"),
    "image_editing": ("shapes-edits@0.01", "l2"),
    "story": ("shapes-stories@0.02", "seconds_per_image"),
}
"""A small generated dataset and a metric of every task; a task without one fails here."""


class TestSplitOpenedError(Exception):
    __test__ = False


@pytest.fixture
def sealed(monkeypatch):
    """Makes the test split of every dataset raise when it is opened."""

    def test(self):
        raise TestSplitOpenedError(self.id)

    monkeypatch.setattr(module.Dataset, "test", test)


def job(name, kind, wrap=None):
    entry = {"method": name, **({"wrap": {"method": wrap}} if wrap else {})}
    chain = [METHODS.get(part) for part in (name, wrap) if part]
    task = next(task for task in WORLDS if all(task in cls.tasks for cls in chain))
    dataset, metric = WORLDS[task]
    data = module.open_dataset(dataset)
    for cls in chain:
        unfit = cls.needs.missing(dataset, data.modalities)
        if unfit:
            pytest.skip(f"{name} {unfit}")
    config = default_config(entry)
    innermost = config.get("wrapped", config)
    if "encoder" in innermost:
        innermost["encoder"] = "tiny-1-10"  # ten steps of contrast in place of hundreds
    views = chain[-1].views(chain[-1].Config.model_validate(innermost), data.modalities)
    return Job(
        id=f"{name}-{wrap}-{kind}",
        kind=kind,
        task=task,
        protocol=data.protocol.name,
        dataset=dataset,
        dataset_digest=data.digest,
        method=entry,
        config=config,
        views={key: [stage.to_yaml() for stage in stages] for key, stages in views.items()},
        budget={"epochs": 1, "patience": None},
        select=metric,
        metrics=[metric],
        seed=0,
        device="cpu",
    )


def test_adapters_are_among_the_methods():
    assert {("befa", "vbpr"), ("befa", "mgcn"), ("cierec", "bpr"), ("marnet", "resnet")} <= set(ADAPTED)


@pytest.mark.parametrize(("name", "wrap"), [*BARE, *ADAPTED], ids=lambda value: str(value))
def test_a_trial_never_opens_the_test_split(name, wrap, sealed, tmp_path):
    outcome = run_job(job(name, "trial", wrap), work_dir=tmp_path, on_epoch=lambda _: True)
    assert outcome.status == "done"
    assert outcome.metrics == {}
    assert outcome.valid


def test_a_run_opens_it_after_training(sealed, tmp_path):
    seen = []
    with pytest.raises(TestSplitOpenedError):
        run_job(job("lightgcn", "run"), work_dir=tmp_path, on_epoch=lambda point: not seen.append(point.epoch))
    assert seen == [1]


def test_what_training_gets_has_no_way_to_the_test_rows():
    data = module.open_dataset(DATASET)
    held_out = data.test()
    given = data.training()
    assert not [name for name in dir(given) if "test" in name.lower()]
    pairs = {(int(user), int(item)) for user, item in zip(held_out.users, held_out.items, strict=True)}
    for rows in (given.train, given.valid):
        assert not pairs & {(int(user), int(item)) for user, item in zip(rows.users, rows.items, strict=True)}
