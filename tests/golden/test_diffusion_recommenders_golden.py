"""DiffRec and DiffMM against the authors' recorded schedules, losses, gradients, denoised rows, graphs and scores.

Conventions and tolerances are those of the recordings' README. The authors keep a denoiser's first layer as one Linear
over [row ; time]; ours holds the two parts, each turned over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from test_methods_golden import MODALITIES, close, settings, world

from bench.graph.compile import compile_view
from bench.methods.base import Context, PairBatch
from bench.methods.layers.diffusion import KEPT_LOSSES
from bench.methods.recommendation.diffmm import DiffMM
from bench.methods.recommendation.diffrec import DiffRec
from bench.tasks.recommendation import TASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recording

    Read = Callable[[str], Recording]

ITEMS, USERS = 40, 60
DIFFUSION = {
    "steps": "steps",
    "noise_scale": "noise_scale",
    "noise_min": "noise_min",
    "noise_max": "noise_max",
}


def denoiser_weights(recording: Recording, prefix: str) -> dict[str, np.ndarray]:
    """Recorded arrays of a denoiser (parameters or gradients) under our names."""
    first = recording[f"{prefix}in_layers.0.weight"]
    return {
        "read": first[:, :ITEMS].T,
        "read_time": first[:, ITEMS:].T,
        "read_bias": recording[f"{prefix}in_layers.0.bias"],
        "time.weight": recording[f"{prefix}emb_layer.weight"],
        "time.bias": recording[f"{prefix}emb_layer.bias"],
        "write.weight": recording[f"{prefix}out_layers.0.weight"],
        "write.bias": recording[f"{prefix}out_layers.0.bias"],
    }


def load(module: torch.nn.Module, values: dict[str, np.ndarray]) -> None:
    parameters = dict(module.named_parameters())
    assert set(parameters) == set(values)
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(torch.from_numpy(np.array(value)))


def tensor(recording: Recording, key: str) -> torch.Tensor:
    return torch.from_numpy(np.array(recording[key]))


@pytest.fixture
def diffrec(golden: Read) -> tuple[DiffRec, Recording]:
    return made_diffrec(golden, torch.float64)


def made_diffrec(golden: Read, dtype: torch.dtype) -> tuple[DiffRec, Recording]:
    recording = golden("diffrec")
    names = DIFFUSION | {"hidden": "hidden", "time_width": "emb_size", "reweight": "reweight"}
    config = DiffRec.Config.model_validate(settings(recording, names) | {"dropout": 0.0})
    method = DiffRec(config, Context(world(golden("dataset"), ()), {}, dtype))
    load(method.denoiser, denoiser_weights(recording, "param/"))
    return method, recording


def test_diffrec_schedule(diffrec):
    schedule, recording = diffrec[0].schedule, diffrec[1]
    close(schedule.alpha_bar, recording["const/alphas_cumprod"], relative=1e-14)
    close(schedule.keep, recording["const/posterior_mean_coef1"], relative=1e-10)
    close(schedule.back, recording["const/posterior_mean_coef2"], relative=1e-10)


def test_diffrec_batches_are_the_users_training_rows(diffrec, golden):
    method, recording = diffrec
    batch = method.batch_of(tensor(recording, "batch/users"))
    close(batch.dense(ITEMS, torch.float64), recording["batch/x_start"], relative=0)
    data = world(golden("dataset"), ())
    source = TASK.batches(
        data, batch_size=25, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0), of="histories"
    )
    batches = list(source.epoch())
    assert [len(batch.users) for batch in batches] == [25, 25, 10]
    assert torch.cat([batch.users for batch in batches]).sort().values.equal(torch.arange(USERS))


def recorded_errors(method: DiffRec, recording: Recording) -> torch.Tensor:
    dtype = method.denoiser.read.dtype
    clean, noise = tensor(recording, "batch/x_start").to(dtype), tensor(recording, "batch/noise").to(dtype)
    return method.errors(clean, tensor(recording, "batch/timesteps"), noise)


def test_diffrec_loss_gradients_and_a_step(diffrec):
    method, recording = diffrec
    steps, clean = tensor(recording, "batch/timesteps"), tensor(recording, "batch/x_start")
    noisy = method.schedule.noisy(clean, steps, tensor(recording, "batch/noise"))
    close(noisy, recording["out/x_t"], relative=1e-10)
    close(method.denoiser(noisy, steps), recording["out/model_output"], relative=1e-10)
    close(method.schedule.weights(steps, torch.float64), recording["out/snr_weight"], relative=1e-10)
    adam = torch.optim.AdamW(method.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    errors = recorded_errors(method, recording)
    close(errors, recording["out/loss_per_user"], relative=1e-10)
    assert errors.mean().item() == pytest.approx(recording["out/loss"].item(), rel=1e-10)
    errors.mean().backward()
    parameters = dict(method.denoiser.named_parameters())
    for name, gradient in denoiser_weights(recording, "grad/").items():
        close(parameters[name].grad, gradient, relative=1e-9, floor=1e-12)
    adam.step()
    after = recorded_errors(method, recording).mean().item()
    assert after == pytest.approx(recording["out/loss_after_adam"].item(), rel=1e-9)


def test_diffrec_scores_with_all_steps_inside_the_hidden_layer(diffrec):
    method, recording = diffrec
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        close(method.score(torch.arange(USERS)), recording["out/scores"], relative=1e-10)
        clean = method.batch_of(torch.arange(USERS)).dense(ITEMS, torch.float64)
        steps = torch.ones(USERS, dtype=torch.int64)
        noisy = method.schedule.noisy(clean, steps, tensor(recording, "sampling/noise_for_2_forward_steps"))
        found = method.denoiser.denoise(noisy @ method.denoiser.read, method.schedule, method.denoiser.reverse())
    close(found, recording["sampling/scores_2_forward_steps"], relative=1e-10)


def test_diffrec_importance_sampling(diffrec):
    method, recording = diffrec
    history = tensor(recording, "importance/Lt_history")
    for column in range(KEPT_LOSSES):
        assert method.sampler.probabilities().unique().numel() == 1
        method.sampler.record(torch.arange(5), history[:, column])
    close(method.sampler.losses, recording["importance/Lt_history"], relative=0)
    probabilities = method.sampler.probabilities()
    close(probabilities, recording["importance/probabilities"], relative=1e-12)
    close(probabilities[tensor(recording, "importance/t")] * 5, recording["importance/pt"], relative=1e-12)
    torch.manual_seed(0)
    steps, share = method.sampler.draw(1000)
    assert torch.equal(share, probabilities[steps] * 5)


def test_diffrec_in_single_precision(golden):
    method, recording = made_diffrec(golden, torch.float32)
    errors = recorded_errors(method, recording)
    assert errors.dtype == torch.float32
    assert errors.mean().item() == pytest.approx(recording["out/loss"].item(), rel=1e-6)
    method.eval()
    with torch.no_grad():
        close(method.score(torch.arange(USERS)), recording["out/scores"], relative=1e-6)


def made_diffmm(golden: Read, dtype: torch.dtype, contrast: str = "modalities") -> tuple[DiffMM, Recording]:
    recording = golden("diffmm")
    data = world(golden("dataset"), MODALITIES)
    names = DIFFUSION | {
        "batch_size": "batch",
        "reg": "reg",
        "dim": "latdim",
        "layers": "gnn_layer",
        "ssl": "ssl_reg",
        "temperature": "temp",
        "keep_edges": "keepRate",
        "time_width": "d_emb_size",
        "top": "rebuild_k",
        "alignment": "e_loss",
        "residual": "ris_lambda",
        "modal_graph": "ris_adj_lambda",
    }
    fixed = {"hidden": int(recording["hyper/denoise_hidden"][0]), "dropout": 0.0, "contrast": contrast}
    assert (recording["hyper/trans"], recording["hyper/cl_method"]) == (0, 0)
    config = DiffMM.Config.model_validate(settings(recording, names) | fixed | {"projection": "leaky"})
    infos = {name: modality.info for name, modality in data.modalities.items()}
    pipelines = DiffMM.views(config, infos)
    views = {name: compile_view(stages, data).view.to(dtype=dtype) for name, stages in pipelines.items()}
    method = DiffMM(config, Context(data, views, dtype))
    main = {
        "users": recording["param/main.uEmbeds"],
        "items": recording["param/main.iEmbeds"],
        "modality_logits": recording["param/main.modal_weight"],
    } | {f"project.{name}.weight": recording[f"param/main.{name}_trans"].T for name in MODALITIES}
    for name in MODALITIES:
        weights = denoiser_weights(recording, f"param/denoise_{name}.")
        main |= {f"denoisers.{name}.{key}": value for key, value in weights.items()}
    load(method, main)
    return method, recording


@pytest.fixture
def diffmm(golden: Read) -> tuple[DiffMM, Recording]:
    return made_diffmm(golden, torch.float64)


def test_diffmm_schedule_and_graph(diffmm):
    method, recording = diffmm
    close(method.schedule.alpha_bar, recording["const/alphas_cumprod"], relative=1e-14)
    close(method.schedule.keep, recording["const/posterior_mean_coef1"], relative=1e-10)
    close(method.schedule.back, recording["const/posterior_mean_coef2"], relative=1e-10)
    close(method.graph.dense(), recording["graph/norm_adj"], relative=1e-10)


def diffusion(method: DiffMM, recording: Recording, name: str):
    clean, steps = tensor(recording, "batch/x_start"), tensor(recording, f"batch/timesteps_{name}")
    return method.diffusion_terms(name, clean, steps, tensor(recording, f"batch/noise_{name}"))


@pytest.mark.parametrize("name", MODALITIES)
def test_diffmm_denoisers(diffmm, name):
    method, recording = diffmm
    clean = method.batch_of(tensor(recording, "batch/diffusion_users")).dense(ITEMS, torch.float64)
    close(clean, recording["batch/x_start"], relative=0)
    close(method.features(name), recording[f"out/projected_{name}_features"], relative=1e-10)
    total, parts = diffusion(method, recording, name)
    assert parts["error"].item() == pytest.approx(recording[f"out/diffusion_{name}_mse_weighted"].item(), rel=1e-10)
    assert parts["alignment"].item() == pytest.approx(recording[f"out/diffusion_{name}_gc"].item(), rel=1e-10)
    assert total.item() == pytest.approx(recording[f"out/diffusion_{name}_loss"].item(), rel=1e-10)
    group = method.groups()[f"denoise_{name}"]
    adam = torch.optim.Adam(group.parameters, lr=group.lr, fused=True)
    total.backward()
    assert method.items.grad is None and method.project[name].weight.grad is None
    parameters = dict(method.denoisers[name].named_parameters())
    for key, gradient in denoiser_weights(recording, f"grad/denoise_{name}.").items():
        close(parameters[key].grad, gradient, relative=1e-9, floor=1e-12)
    adam.step()
    for key, value in denoiser_weights(recording, f"after/denoise_{name}.").items():
        close(parameters[key], value, relative=1e-9)
    after = diffusion(method, recording, name).total.item()
    assert after == pytest.approx(recording[f"out/diffusion_{name}_loss_after_adam"].item(), rel=1e-9)


def rebuilt(golden: Read, contrast: str, dtype: torch.dtype = torch.float64) -> tuple[DiffMM, Recording, PairBatch]:
    """The method after the diffusion's step, on the graphs rebuilt with it."""
    method, recording = made_diffmm(golden, dtype, contrast)
    for name in MODALITIES:
        load(method.denoisers[name], denoiser_weights(recording, f"after/denoise_{name}."))
    method.eval()
    method.rebuild()
    method.train()
    return method, recording, PairBatch(*(tensor(recording, f"batch/{key}") for key in ("users", "pos", "neg")))


def test_diffmm_rebuilds_the_graphs_from_denoised_rows(golden):
    method, recording, _ = rebuilt(golden, "modalities")
    with torch.no_grad():
        for name in MODALITIES:
            denoiser = method.denoisers[name]
            clean = method.batch_of(torch.arange(USERS)).histories
            found = denoiser.denoise(denoiser.project(clean), method.schedule, denoiser.reverse())
            close(found, recording[f"out/denoised_{name}"], relative=1e-10)
            np.testing.assert_array_equal(method.get_buffer(f"top_{name}"), recording[f"out/top_items_{name}"])
            close(method.modal_graphs[name].dense(), recording[f"graph/ui_adj_{name}"], relative=1e-10)


def test_diffmm_main_loss_gradients_views_and_scores(golden):
    method, recording, batch = rebuilt(golden, "modalities")
    group = method.groups()[""]
    adam = torch.optim.Adam(group.parameters, lr=group.lr, fused=True)
    total, parts = method.loss(batch)
    recorded = {"bpr": "loss_bpr", "reg": "loss_reg", "contrast": "loss_cl_modality_vs_modality"}
    for ours, theirs in recorded.items():
        assert parts[ours].item() == pytest.approx(recording[f"out/{theirs}"].item(), rel=1e-10), ours
    assert total.item() == pytest.approx(recording["out/loss"].item(), rel=1e-10)
    for name, view in zip(MODALITIES, method.contrastive_views(), strict=True):
        close(view.users, recording[f"out/cl_view_{name}_user"], relative=1e-10)
        close(view.items, recording[f"out/cl_view_{name}_item"], relative=1e-10)
    total.backward()
    close(method.users.grad, recording["grad/main.uEmbeds"], relative=1e-9)
    close(method.items.grad, recording["grad/main.iEmbeds"], relative=1e-9)
    close(method.modality_logits.grad, recording["grad/main.modal_weight"], relative=1e-9)
    for name in MODALITIES:
        close(method.project[name].weight.grad.T, recording[f"grad/main.{name}_trans"], relative=1e-9)
        assert all(parameter.grad is None for parameter in method.denoisers[name].parameters())
    method.eval()
    with torch.no_grad():
        method.begin_scoring()
        close(method.score(torch.arange(USERS)), recording["out/scores"], relative=1e-10)
        users, items = method.represent()
    close(users, recording["out/user_emb"], relative=1e-10)
    close(items, recording["out/item_emb"], relative=1e-10)
    adam.step()
    assert method.loss(batch).total.item() == pytest.approx(recording["out/loss_after_adam"].item(), rel=1e-9)


def test_diffmm_contrasting_with_the_main_view(golden):
    method, recording, batch = rebuilt(golden, "main")
    found = method.loss(batch).parts["contrast"].item()
    assert found == pytest.approx(recording["out/loss_cl_modality_vs_main"].item(), rel=1e-10)


def test_diffmm_in_single_precision(golden):
    method, recording, batch = rebuilt(golden, "modalities", torch.float32)
    total = method.loss(batch).total
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(recording["out/loss"].item(), rel=1e-6)
    total.backward()
    close(method.users.grad, recording["grad/main.uEmbeds"], relative=1e-3, floor=1e-6)
