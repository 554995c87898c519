"""Frozen image-text encoders: trained once, cached by content, never changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from generation_worlds import FAST, as_images, prompts, world
from transformers import BertConfig, CLIPConfig, CLIPModel, CLIPTokenizer

from bench.encoders import tiny
from bench.encoders.build import build_encoder
from bench.errors import UserError
from bench.methods.generator import Prompts


@pytest.fixture(scope="module")
def data():
    return world(n=24)


def vectors(encoder, data):
    return encoder.texts(prompts(data.valid.captions)), encoder.images(as_images(data.valid.pixels))


def test_an_encoder_learns_which_caption_fits(fresh_cache, data):
    encoder = build_encoder("tiny-1-60", data)
    texts, images = (torch.nn.functional.normalize(rows) for rows in vectors(encoder, data))
    assert (images @ texts.T).argmax(1).tolist() == list(range(6))


def test_the_second_use_reads_the_cache_and_changes_no_random_stream(fresh_cache, data, monkeypatch):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = build_encoder(FAST, data)
    assert torch.rand(4).equal(expected)
    monkeypatch.setattr(tiny, "train", lambda *_: pytest.fail("trained again"))
    torch.manual_seed(3)
    second = build_encoder(FAST, data)
    assert torch.rand(4).equal(expected)
    for ours, theirs in zip(vectors(first, data), vectors(second, data), strict=True):
        assert ours.equal(theirs)


def test_seed_steps_and_data_make_other_encoders(fresh_cache, data):
    other = dataclasses.replace(data, train=dataclasses.replace(data.train, pixels=data.train.pixels[::-1].copy()))
    for name, given in ((FAST, data), ("tiny-2-4", data), ("tiny-1-5", data), (FAST, other)):
        build_encoder(name, given)
    assert len(list((fresh_cache / "encoders").glob("*.safetensors"))) == 4
    assert build_encoder("tiny-2-4", data).identity == "tiny-2-4"


def test_a_damaged_cache_file_is_made_again(fresh_cache, data):
    before = vectors(build_encoder(FAST, data), data)
    (path,) = (fresh_cache / "encoders").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    after = vectors(build_encoder(FAST, data), data)
    assert all(ours.equal(theirs) for ours, theirs in zip(before, after, strict=True))


def test_it_is_frozen_and_the_gradient_reaches_the_pixels(data):
    encoder = build_encoder(FAST, data, torch.float64).train()
    assert not encoder.training
    assert not any(part.training for part in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    images = as_images(data.valid.pixels).double().requires_grad_()
    encoder.images(images).square().sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert not encoder.texts(prompts(data.valid.captions)).requires_grad


def test_padding_and_the_batch_do_not_change_a_sentence(data):
    encoder = build_encoder(FAST, data, torch.float64)
    given = prompts(data.valid.captions)
    whole = encoder.texts(given)
    narrow = Prompts(given.tokens[:1, :4], given.lengths[:1], given.texts[:1])
    torch.testing.assert_close(encoder.texts(narrow), whole[:1])


def test_a_caption_of_ten_thousand_words_is_cut(data):
    encoder = build_encoder(FAST, data)
    tokens = torch.full((1, 10_000), 2)
    found = encoder.texts(Prompts(tokens, torch.tensor([10_000]), ("a " * 10_000,)))
    cut = encoder.texts(Prompts(tokens[:, :6], torch.tensor([6]), ("a " * 6,)))
    assert found.equal(cut)


@pytest.mark.parametrize("task", ["image_editing", "story"])
def test_edits_and_stories_give_pairs_too(data, task):
    pairs, plain = tiny.training_pairs(world(task=task, n=24)), tiny.training_pairs(data)
    for ours, theirs in zip(pairs, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_legacy_input_of_clip_is_mapped_twice(data):
    tower = build_encoder(FAST, data, torch.float64).tower
    black = torch.full((1, 3, 16, 16), -1.0, dtype=torch.float64)
    for preprocessing, value in (("correct", 0.0), ("galip_legacy", 0.5)):
        seen = tower.pixels(black, preprocessing) * tower.std + tower.mean
        torch.testing.assert_close(seen, torch.full_like(seen, value))


def test_an_inside_look_agrees_with_transformers(data):
    encoder = build_encoder(FAST, data)
    pixels = encoder.tower.pixels(as_images(data.valid.pixels))
    vision = encoder.tower.vision(pixel_values=pixels)
    seen = encoder.tower.looks(pixels, (encoder.tower.layers - 1,))
    torch.testing.assert_close(seen.embeddings, encoder.tower.projection(vision.pooler_output))
    torch.testing.assert_close(seen.maps[:, 0].flatten(2).transpose(1, 2), vision.last_hidden_state[:, 1:])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with a small CLIP of random weights and a byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint") / "clip-small"
    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(f"{letter}{end}" for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")),
    ]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    text = {
        "vocab_size": len(words),
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 4,
    }
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_pretrained_folder_is_read_with_its_own_tokens(pretrained, data):
    encoder = build_encoder(str(pretrained), data, torch.float64)
    texts, images = vectors(encoder, data)
    assert texts.shape == images.shape == (6, 6)
    assert texts.dtype == images.dtype == torch.float64
    assert texts[0].sub(texts[1]).abs().max() > 0
    name, at, digest = encoder.identity.partition("@")
    assert (name, at, len(digest)) == ("clip-small", "@", 8)
    long = Prompts(torch.zeros(1, 1, dtype=torch.long), torch.ones(1, dtype=torch.long), ("a " * 10_000,))
    assert encoder.texts(long).isfinite().all()


def test_a_pretrained_encoder_is_left_out_of_a_methods_weights(pretrained, data):
    holder = torch.nn.ModuleDict({"own": torch.nn.Linear(2, 2), "encoder": build_encoder(str(pretrained), data)})
    weights = holder.state_dict()
    assert set(weights) == {"own.weight", "own.bias"}
    before = vectors(holder["encoder"], data)
    holder.load_state_dict(weights)
    assert all(ours.equal(theirs) for ours, theirs in zip(before, vectors(holder["encoder"], data), strict=True))


def test_a_missing_folder_and_another_model_are_clear_errors(tmp_path, data):
    with pytest.raises(UserError, match="neither"):
        build_encoder(str(tmp_path / "nothing"), data)
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="'bert'"):
        build_encoder(str(tmp_path), data)


def test_missing_weights_are_a_clear_error(pretrained, tmp_path, data):
    (tmp_path / "config.json").write_bytes((pretrained / "config.json").read_bytes())
    with pytest.raises(UserError, match="cannot be loaded"):
        build_encoder(str(tmp_path), data)
