"""The parts of a Stable Diffusion folder: known by content, computed once while frozen, refused where incomplete."""

from __future__ import annotations

import shutil

import pytest
import torch
from checkpoint_factories import stable_diffusion_folder
from diffusers import AutoencoderKL
from safetensors.torch import load, save_file
from transformers import CLIPTextModel

from bench.data.checkpoints import find_checkpoint
from bench.encoders import frozen
from bench.encoders.frozen import FrozenValues, content_of
from bench.encoders.stable_diffusion import StableDiffusion
from bench.errors import UserError

TEXTS = ["a cat", "", "two dogs", "a cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stable_diffusion_folder(tmp_path_factory.mktemp("checkpoint") / "sd-small")


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copied")


def parts(folder):
    return StableDiffusion(str(folder), torch.float32)


def pictures(count=3):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def counted(monkeypatch, module, name="forward"):
    """Counts the rows that a network is asked for from now on."""
    rows = []
    original = getattr(module, name)

    def call(*args, **options):
        rows.append(len(next(value for value in (*args, *options.values()) if isinstance(value, torch.Tensor))))
        return original(*args, **options)

    monkeypatch.setattr(module, name, call)
    return rows


def weights_file(folder, part):
    (path,) = (folder / part).glob("*.safetensors")
    return path


def rewrite(path, change):
    """Replaces a file of weights; in place it would pull the rug from under a network that maps it."""
    tensors = {name: tensor.clone() for name, tensor in load(path.read_bytes()).items()}
    path.unlink()
    save_file(change(tensors), path, metadata={"format": "pt"})


# --- identity ---------------------------------------------------------------------------------------------------------


def test_it_is_known_by_name_and_content(folder, copied, fresh_cache):
    digest = find_checkpoint(str(folder)).digest
    assert parts(folder).identity == f"sd-small@{digest[:8]}"
    assert parts(copied).identity == f"copied@{digest[:8]}", "the same content has the same digest"
    rewrite(weights_file(copied, "vae"), lambda tensors: {name: value + 1e-3 for name, value in tensors.items()})
    other = parts(copied).identity
    assert other.startswith("copied@") and not other.endswith(digest[:8])


# --- what it computes -------------------------------------------------------------------------------------------------


def test_states_and_latents_are_those_of_the_parts_by_themselves(folder, fresh_cache):
    found = parts(folder)
    text = CLIPTextModel.from_pretrained(folder / "text_encoder")
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    ids = torch.tensor(found.tokenizer(TEXTS, padding="max_length", truncation=True, max_length=12)["input_ids"])
    seen = pictures()
    with torch.no_grad():
        states = text(input_ids=ids).last_hidden_state
        latents = vae.encode(seen).latent_dist.mode() * vae.config.scaling_factor
    for _ in range(2):  # computed, then from the cache
        torch.testing.assert_close(found.states(TEXTS), states)
        torch.testing.assert_close(found.encode(seen), latents)
        assert found.encode(seen).shape == (3, 4, 4, 4) and not found.encode(seen).requires_grad


def test_what_a_frozen_part_saw_once_is_never_computed_again(folder, copied, fresh_cache, monkeypatch):
    first, seen = parts(folder), pictures()
    text, vae = counted(monkeypatch, first.text), counted(monkeypatch, first.vae, "encode")
    states, latents = first.states(TEXTS), first.encode(seen)
    assert text == [1, 1, 1], "equal texts once"
    assert vae == [1, 1, 1]
    assert first.states(TEXTS[::-1]).equal(states.flip(0)) and first.encode(seen[1:]).equal(latents[1:])
    assert (len(text), len(vae)) == (3, 3)
    again = parts(copied)  # another process, and another folder of the same content
    text, vae = counted(monkeypatch, again.text), counted(monkeypatch, again.vae, "encode")
    assert again.states(TEXTS).equal(states) and again.encode(seen).equal(latents)
    assert again.encode(seen).stride() == latents.stride(), "what is drawn like it is the same"
    assert text == vae == []
    again.states(["a cow"]), again.encode(seen[:1] + 1e-6)
    assert text == vae == [1]


def test_a_value_does_not_depend_on_what_is_computed_beside_it_or_before(folder, tmp_path, monkeypatch):
    values = []
    for order, name in (([0, 1, 2], "a"), ([2], "b"), ([2, 0], "c")):
        monkeypatch.setenv("BENCH_CACHE", str(tmp_path / name))
        values.append(parts(folder).encode(pictures()[order])[order.index(2)])
    assert values[0].equal(values[1]) and values[0].equal(values[2])


def test_other_weights_types_and_mixed_precision_have_values_of_their_own(folder, copied, fresh_cache):
    seen = pictures(1)
    latents = parts(folder).encode(seen)
    rewrite(weights_file(copied, "vae"), lambda tensors: {name: 1.5 * value for name, value in tensors.items()})
    assert not parts(copied).encode(seen).equal(latents)
    double = StableDiffusion(str(folder), torch.float64)
    assert double.encode(seen.double()).dtype == double.states(TEXTS).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = parts(folder).encode(seen)
    assert not mixed.float().equal(latents) and parts(folder).encode(seen).equal(latents)


def test_a_part_that_learns_is_computed_each_time_and_gets_its_gradient(folder, fresh_cache):
    found = parts(folder)
    before = found.states(TEXTS)
    found.text.requires_grad_(True)
    states = found.states(TEXTS)
    states.sum().backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in found.text.parameters())
    with torch.no_grad():
        for weight in found.text.parameters():
            weight.mul_(1.1)
    assert not found.states(TEXTS).equal(before)


def test_no_random_stream_is_touched_by_what_the_cache_lacks(folder, fresh_cache):
    found = parts(folder)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found.states(TEXTS), found.encode(pictures())
    assert torch.get_rng_state().equal(before)


# --- the cache --------------------------------------------------------------------------------------------------------


def kept(folder):
    return sorted(folder.rglob("*.safetensors"))


def squares(values, numbers, calls=None):
    def compute(row):
        if calls is not None:
            calls.append(numbers[row])
        return torch.tensor([float(numbers[row]) ** 2, 1.0])

    return values.of([str(number).encode() for number in numbers], compute, torch.device("cpu"))


def test_a_damaged_file_is_made_again(fresh_cache):
    values = FrozenValues("squares", "1")
    squares(values, [3])
    (path,) = kept(fresh_cache)
    whole = path.read_bytes()
    for damaged in (whole[:-3], b"", b"no tensors at all"):
        path.write_bytes(damaged)
        assert squares(values, [3]).tolist() == [[9.0, 1.0]] and path.read_bytes() == whole


def test_another_identity_shares_nothing(fresh_cache):
    calls = []
    squares(FrozenValues("squares", "1"), [3, 4], calls)
    squares(FrozenValues("squares", "1"), [4, 3], calls)
    squares(FrozenValues("squares", "2"), [3], calls)
    assert calls == [3, 4, 3] and len(kept(fresh_cache)) == 3


def test_the_cache_stops_growing_at_its_limit(fresh_cache, monkeypatch):
    squares(FrozenValues("squares", "1"), [1])
    (path,) = kept(fresh_cache)
    monkeypatch.setattr(frozen, "MOST_BYTES", 3 * path.stat().st_size)
    calls = []
    for _ in range(2):
        found = squares(FrozenValues("squares", "1"), [1, 2, 3, 4], calls)
        assert found[:, 0].tolist() == [1.0, 4.0, 9.0, 16.0]
    assert calls == [2, 3, 4, 4] and len(kept(fresh_cache)) == 3


def test_content_tells_types_shapes_and_numbers_apart():
    rows = torch.arange(4.0)
    variants = [rows, rows.double(), rows.bfloat16(), rows.view(2, 2), rows + 1, rows.view(2, 2).T]
    assert len({content_of(one) for one in variants}) == len(variants)
    assert content_of(rows.view(2, 2).T) == content_of(rows.view(2, 2).T.contiguous())


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_folder_without_a_part_is_refused_by_name(copied, part):
    shutil.rmtree(copied / part)
    with pytest.raises(UserError, match=rf"the {part} of checkpoint .*copied.*there is no folder '{part}'") as caught:
        parts(copied)
    assert "safetensors" in (caught.value.hint or "")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_damaged_missing_or_of_another_shape_are_refused(copied, part):
    path = weights_file(copied, part)
    whole = path.read_bytes()
    rewrite(path, lambda tensors: dict(sorted(tensors.items())[1:]))
    with pytest.raises(UserError, match=rf"the {part} of checkpoint .* lacks 1 weights, e\.g\. '.*(conv_in|embedding)"):
        parts(copied)
    rewrite(path, lambda tensors: {name: torch.zeros(3, 3) for name in tensors})
    with pytest.raises(UserError, match=f"the {part} of checkpoint .* cannot be loaded"):
        parts(copied)
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=f"the {part} of checkpoint .* cannot be loaded"):
        parts(copied)
    path.unlink()
    with pytest.raises(UserError, match=f"the {part} of checkpoint .* cannot be loaded"):
        parts(copied)


def test_a_tokenizer_without_words_is_refused(copied):
    (copied / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"the tokenizer of checkpoint .*copied.* has no vocabulary"):
        parts(copied)
    (copied / "tokenizer" / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match=r"the tokenizer of checkpoint .*copied.* cannot be loaded"):
        parts(copied)


def test_a_broken_scheduler_is_refused(copied):
    (copied / "scheduler" / "scheduler_config.json").write_text("{")
    with pytest.raises(UserError, match=r"the scheduler of checkpoint .*copied.* cannot be loaded"):
        parts(copied)


@pytest.mark.parametrize("asked", ["nobody/no-such-model", "/no/such/folder", ""])
def test_what_is_not_there_is_refused(asked):
    with pytest.raises(UserError, match="there is no checkpoint") as caught:
        StableDiffusion(asked, torch.float32)
    assert "hf download" in (caught.value.hint or "")


def test_names_of_weights_in_older_folders_are_understood(folder, copied, fresh_cache):
    """Stable Diffusion 1.5 as published: `query` for the autoencoder's `to_q`, `text_model.` before a text's names."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def older(tensors):
        renamed = {}
        for name, tensor in tensors.items():
            for new, before in old.items():
                name = name.replace(f".{new}.", f".{before}.")
            renamed[name] = tensor
        return renamed

    vae = weights_file(copied, "vae")
    rewrite(vae, older)
    assert any(".proj_attn." in name for name in load(vae.read_bytes()))
    rewrite(
        weights_file(copied, "text_encoder"),
        lambda tensors: (
            {f"text_model.{name}": value for name, value in tensors.items()}
            | {"text_model.embeddings.position_ids": torch.arange(12)[None]}
        ),
    )
    now, then = parts(folder), parts(copied)
    assert now.states(TEXTS).equal(then.states(TEXTS)) and now.encode(pictures()).equal(then.encode(pictures()))
