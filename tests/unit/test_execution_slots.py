from __future__ import annotations

import pytest

from bench.errors import DeviceError, UserError
from bench.execution.slots import Gpu, available_cores, detect_gpus, make_slots, resolve_device

TWO = (Gpu("0", "H", 1), Gpu("1", "H", 1))


def test_cores_are_shared_out_and_threads_are_those_of_the_spec():
    slots = make_slots(device="cpu", cpus_per_job=2, cores=7)
    assert [(slot.device, slot.threads) for slot in slots] == [("cpu", 2)] * 3
    assert slots[0].environment["OMP_NUM_THREADS"] == "2"
    assert slots[0].environment["CUDA_VISIBLE_DEVICES"] == ""


def test_jobs_overrides_the_number_of_slots_and_not_the_threads():
    slots = make_slots(device="cpu", cpus_per_job=2, jobs=5, cores=4)
    assert len(slots) == 5 and {slot.threads for slot in slots} == {2}


def test_job_that_wants_more_cores_than_there_are_gets_them_all():
    assert [slot.threads for slot in make_slots(device="cpu", cpus_per_job=16, cores=4)] == [4]


@pytest.mark.parametrize(
    ("per_job", "expected"),
    [(1, [("0",), ("1",)]), (0.5, [("0",), ("1",), ("0",), ("1",)]), (2, [("0", "1")])],
)
def test_gpus_are_given_out_whole_shared_or_together(per_job, expected):
    slots = make_slots(gpus_per_job=per_job, gpus=TWO, cores=8)
    assert [slot.gpus for slot in slots] == expected
    assert {slot.device for slot in slots} == {"cuda"}


def test_third_of_a_gpu_makes_three_slots():
    assert len(make_slots(gpus_per_job=1 / 3, gpus=TWO[:1], cores=8)) == 3


def test_zero_gpus_per_job_stays_on_the_cpu():
    assert {slot.device for slot in make_slots(gpus_per_job=0, gpus=TWO, cores=2)} == {"cpu"}


def test_one_gpu_can_be_chosen():
    assert [slot.gpus for slot in make_slots(device="cuda:1", gpus=TWO, cores=2)] == [("1",)]


@pytest.mark.parametrize("device", ["tpu", "cpu:0", "cuda:x", "cuda:7", ""])
def test_unknown_device_is_refused(device):
    with pytest.raises(DeviceError):
        resolve_device(device, TWO)


def test_unknown_device_gets_the_nearest_name():
    with pytest.raises(DeviceError, match="Did you mean 'cuda'"):
        resolve_device("cuad", TWO)


def test_cuda_without_a_gpu_is_refused_and_auto_falls_back():
    with pytest.raises(DeviceError, match="finds no GPU"):
        make_slots(device="cuda", gpus=())
    assert make_slots(device="auto", gpus=(), cores=1)[0].device == "cpu"


def test_job_that_needs_more_gpus_than_there_are_is_refused():
    with pytest.raises(DeviceError, match="needs 3 GPUs"):
        make_slots(gpus_per_job=3, gpus=TWO)


def test_zero_jobs_is_refused():
    with pytest.raises(UserError, match="at least 1"):
        make_slots(device="cpu", jobs=0)


def test_hidden_gpus_are_not_looked_for(monkeypatch):
    detect_gpus.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert detect_gpus() == ()
    detect_gpus.cache_clear()


def test_there_is_at_least_one_core():
    assert available_cores() >= 1
