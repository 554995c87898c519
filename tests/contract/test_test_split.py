"""Nothing but a run's evaluation reaches the test split."""

import pytest

from bench.data import dataset as module
from bench.execution.jobs import Job
from bench.execution.run_job import run_job
from bench.methods.registry import METHODS
from bench.testing.recommendation import default_config

METHOD_NAMES = [name for name, cls in METHODS.items() if not cls.adapter]
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


def job(name, kind):
    cls = METHODS.get(name)
    task = next(name for name in WORLDS if name in cls.tasks)
    dataset, metric = WORLDS[task]
    data = module.open_dataset(dataset)
    unfit = cls.needs.missing(dataset, data.modalities)
    if unfit:
        pytest.skip(f"{name} {unfit}")
    entry = {"method": name}
    config = default_config(entry)
    if "encoder" in config:
        config["encoder"] = "tiny-1-10"  # ten steps of contrast in place of hundreds
    views = cls.views(cls.Config.model_validate(config), data.modalities)
    return Job(
        id=f"{name}-{kind}",
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


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_trial_never_opens_the_test_split(name, sealed, tmp_path):
    outcome = run_job(job(name, "trial"), work_dir=tmp_path, on_epoch=lambda _: True)
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
