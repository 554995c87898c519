import json

import pytest
import torch

from bench.errors import UserError
from bench.methods.base import Context
from bench.methods.layers.backbones import build_backbone
from bench.testing.classification import build, small_config, small_world

transformers = pytest.importorskip("transformers")


def context(side=16, dtype=torch.float32):
    return Context(small_world(train=4, valid=4, side=side), {}, dtype)


def images(side, count=2):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny checkpoints as `transformers` writes them: resnet, vit (in a classifier) and clip."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    resnet = transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )
    resnet.save_pretrained(root / "resnet")
    processor = {
        "do_center_crop": True,
        "crop_size": {"height": 40, "width": 40},
        "size": {"shortest_edge": 48},
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
    }
    (root / "resnet" / "preprocessor_config.json").write_text(json.dumps(processor))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(image_size=24, patch_size=8, **sizes))
    vit.save_pretrained(root / "vit")
    text = transformers.CLIPTextConfig(vocab_size=20, max_position_embeddings=8, **sizes).to_dict()
    vision = transformers.CLIPVisionConfig(image_size=32, patch_size=8, **sizes).to_dict()
    clip = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    clip.save_pretrained(root / "clip")
    return root


@pytest.mark.parametrize("family", ["resnet", "vit"])
@pytest.mark.parametrize("side", [16, 24, 33, 64, 100])
def test_networks_from_scratch_fit_images_of_any_side(family, side):
    backbone = build_backbone(family, context(side), size="tiny")
    assert backbone(images(side, 1)).shape == (1, backbone.width)


@pytest.mark.parametrize(("side", "last"), [(16, 2), (24, 3), (32, 2), (47, 3), (48, 2), (64, 2), (95, 3), (128, 4)])
def test_the_stem_fits_the_image(side, last):
    encoder = build_backbone("resnet", context(side), size="tiny").encoder
    assert encoder(images(side)).last_hidden_state.shape[-2:] == (last, last)


def test_too_small_images_are_refused():
    with pytest.raises(UserError, match=r"8 x 8 pixels; resnet needs at least 16"):
        build_backbone("resnet", context(8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resnet_checkpoint_is_fed_as_its_processor_says(folders, dtype):
    backbone = build_backbone("resnet", context(dtype=dtype), checkpoint=str(folders / "resnet")).eval()
    assert backbone.size == (40, 40) and backbone.width == 16
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    pixels = images(40)
    model = transformers.ResNetModel.from_pretrained(folders / "resnet").eval()
    with torch.no_grad():
        wanted = model((pixels - mean) / std).pooler_output.flatten(1)
        torch.testing.assert_close(backbone(pixels.to(dtype)), wanted.to(dtype), rtol=1e-4, atol=1e-5)
        assert backbone(images(16).to(dtype)).shape == (2, 16)


def test_a_vit_checkpoint_gives_its_class_token_or_the_mean(folders):
    path = str(folders / "vit")
    default, mean = (build_backbone("vit", context(), checkpoint=path, pool=pool).eval() for pool in (None, "mean"))
    pixels = images(24)
    model = transformers.ViTForImageClassification.from_pretrained(path).eval()
    with torch.no_grad():
        tokens = model.vit((pixels - 0.5) / 0.5).last_hidden_state
        torch.testing.assert_close(default(pixels), tokens[:, 0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mean(pixels), tokens[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


def test_a_clip_checkpoint_is_a_vit_with_clips_normalisation(folders):
    backbone = build_backbone("vit", context(), checkpoint=str(folders / "clip")).eval()
    assert backbone.size == (32, 32) and backbone.pool == "pooler"
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.48145466, 0.4578275, 0.40821073]))
    model = transformers.CLIPModel.from_pretrained(folders / "clip").eval()
    pixels = images(32)
    with torch.no_grad():
        wanted = model.vision_model((pixels - backbone.mean) / backbone.std).pooler_output
        torch.testing.assert_close(backbone(pixels), wanted, rtol=1e-4, atol=1e-5)


def test_a_frozen_backbone_keeps_weights_and_statistics(folders):
    entry = {"method": "resnet"}
    config = small_config(entry) | {"checkpoint": str(folders / "resnet"), "freeze": True}
    method = build(entry, small_world(), config=config).train()
    before = {name: value.clone() for name, value in method.backbone.state_dict().items()}
    method.logits(images(16, 4)).sum().backward()
    assert all(p.grad is None for p in method.backbone.parameters()) and method.head.weight.grad is not None
    assert all(value.equal(before[name]) for name, value in method.backbone.state_dict().items())
    assert method.training and not method.backbone.encoder.training


def test_freezing_a_random_network_is_refused():
    with pytest.raises(UserError, match="no checkpoint"):
        build_backbone("vit", context(), freeze=True)


@pytest.mark.parametrize("name", ["no/such-model", "nowhere", "./no/such/folder"])
def test_a_checkpoint_that_is_not_on_this_disk_is_a_clear_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"neither a folder with a config\.json nor in the local") as caught:
        build_backbone("resnet", context(), checkpoint=name)
    assert repr(name) in caught.value.message and "hf download" in caught.value.hint


def test_a_checkpoint_of_another_family_is_named(folders):
    with pytest.raises(UserError, match="holds a 'vit' model; resnet takes 'resnet'"):
        build_backbone("resnet", context(), checkpoint=str(folders / "vit"))


def test_weights_that_are_missing_are_no_silent_start_from_scratch(folders, tmp_path):
    (tmp_path / "config.json").write_text((folders / "vit" / "config.json").read_text())
    with pytest.raises(UserError, match="cannot be loaded"):
        build_backbone("vit", context(), checkpoint=str(tmp_path))
    from safetensors.torch import load_file, save_file

    weights = load_file(folders / "vit" / "model.safetensors")
    lost = next(name for name in weights if "position_embeddings" in name)
    save_file({k: v for k, v in weights.items() if k != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights of 'vit'.*position_embeddings"):
        build_backbone("vit", context(), checkpoint=str(tmp_path))


def test_a_malformed_processor_file_is_named(folders, tmp_path):
    for file in (folders / "resnet").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text('{"size": "large"}')
    with pytest.raises(UserError, match=r"preprocessor_config\.json is not the processor file"):
        build_backbone("resnet", context(), checkpoint=str(tmp_path))
