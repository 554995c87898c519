"""The makers of images learn what they are for, on the generated data sets and within a minute on one core.

Whoever judges is not the encoder that was trained against.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.dataset import open_dataset
from bench.data.worlds.scenes.vocabulary import GROUND_RGB
from bench.encoders.build import build_encoder
from bench.methods.base import Context
from bench.methods.generation.denet import DENet
from bench.methods.generation.galip import GALIP
from bench.methods.generation.storyimager import StoryImager
from bench.metrics.manipulation import cosines
from bench.testing.generation import COLOURS, batch_of, drawn, fit, small_world

pytestmark = pytest.mark.slow


def shapes(name):
    return open_dataset(f"{name}@0.25").training()


def made_of(cls, data, **config):
    torch.manual_seed(0)
    return cls(cls.Config(**config), Context(data))


def fits(encoder, images, captions):
    """The mean cosine of images and captions, and of images and their neighbours' captions."""
    with torch.no_grad():
        seen, told = encoder.images(images).double().numpy(), encoder.texts(captions).double().numpy()
    return cosines(seen, told).mean(), cosines(seen, np.roll(told, 1, axis=0)).mean()


def test_galip_learns_to_draw_its_captions():
    data = shapes("shapes-captions")
    judge, rows = build_encoder("tiny-3-150", data), slice(0, len(data.valid.ids))
    method = made_of(GALIP, data, encoder="tiny-1-150")
    captions = batch_of(data.valid, rows).captions
    encoder = {name: weight.clone() for name, weight in method.encoder.state_dict().items()}
    gates = {name: weight.clone() for name, weight in method.discriminator.named_parameters() if weight.numel() == 1}
    before = {who: fits(who, drawn(method, data.valid, rows), captions)[0] for who in (judge, method.encoder)}
    fit(method, epochs=2)
    images = drawn(method, data.valid, rows)
    assert fits(method.encoder, images, captions)[0] > before[method.encoder] + 0.3
    own, others = fits(judge, images, captions)
    assert own > before[judge] + 0.3
    assert own > others + 0.3
    assert all(weight.equal(encoder[name]) for name, weight in method.encoder.state_dict().items())
    assert gates
    moved = dict(method.discriminator.named_parameters())
    assert all(not moved[name].equal(weight) for name, weight in gates.items())


@pytest.mark.parametrize(
    ("data", "epochs", "gain"),
    [
        # Colours alone change: what an edit has to be is told in full.
        pytest.param(lambda: small_world("image_editing", train=256, valid=32, side=32), 6, 0.2, id="colours"),
        # Many edits are small, and the unchanged picture fits by two thirds of what a true one does.
        pytest.param(lambda: shapes("shapes-edits"), 8, 0.1, id="shapes"),
    ],
)
def test_denet_edits_fit_their_captions_better_than_no_edit_and_stay_close(data, epochs, gain):
    data = data()
    judge, rows = build_encoder("tiny-3-150", data), slice(0, len(data.valid.ids))
    method = made_of(DENet, data, encoder="tiny-1-150")
    batch = batch_of(data.valid, rows)
    fit(method, epochs=epochs)
    edited = drawn(method, data.valid, rows)
    assert fits(judge, edited, batch.targets)[0] > fits(judge, batch.images, batch.targets)[0] + gain
    # On the [0, 1] scale.
    assert ((edited - batch.images) / 2).square().mean() < 0.05


def completed(method, given, captions=None):
    """Validation stories, drawn with some frames given."""
    batch = batch_of(method.data.valid, slice(0, len(method.data.valid.ids)))
    known = torch.tensor(given, dtype=torch.bool).expand(len(batch.frames), -1)
    method.eval()
    with torch.no_grad():
        shown = batch.frames * known[:, :, None, None, None]
        return method.complete(shown, known, captions or batch.captions, torch.Generator().manual_seed(0))


def masked_loss(method):
    """The mean loss of the validation stories under the same masks, steps and noise."""
    batch = batch_of(method.data.valid, slice(0, len(method.data.valid.ids)))
    torch.manual_seed(0)
    method.eval()
    with torch.no_grad():
        return np.mean([method.loss(batch).total.item() for _ in range(4)])


def nearest(seen, shades):
    """Indices of the shades closest to (..., 3) colours."""
    return (seen[..., None, :] - shades).square().sum(-1).argmin(-1)


def test_storyimager_learns_colours_and_whose_caption_is_whose():
    data = small_world("story", train=128, valid=24, side=8)
    method = made_of(StoryImager, data, frame_side=8)
    before = masked_loss(method)
    fit(method, epochs=20)
    assert masked_loss(method) < 0.5 * before
    told = [[text.split() for text in story] for story in data.valid.texts.tolist()]
    colours = torch.tensor([[list(COLOURS).index(words[1]) for words in story] for story in told])
    right = torch.tensor([[words[-1] == "right" for words in story] for story in told])
    shades = torch.tensor(list(COLOURS.values())) / 127.5 - 1.0

    def accuracy(images, right):
        """Of the colours, seen where the squares should be."""
        squares = images[:, :, :, 2:6]
        seen = torch.where(right[:, :, None], squares[..., 5:7].mean((3, 4)), squares[..., 1:3].mean((3, 4)))
        return (nearest(seen, shades) == colours).double().mean(0)

    frames = batch_of(data.valid, slice(0, 24))
    assert accuracy(frames.frames, right).eq(1.0).all()
    for given in ([0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]):
        assert accuracy(completed(method, given), right).min() > 0.6
    order = [0, 2, 1, 3]
    captions = frames.captions
    swapped = captions._replace(
        tokens=captions.tokens[:, order],
        lengths=captions.lengths[:, order],
        texts=tuple(tuple(story[frame] for frame in order) for story in captions.texts),
    )
    images, other = completed(method, [0, 0, 0, 0]), completed(method, [0, 0, 0, 0], swapped)
    changed = (images - other).abs().mean((0, 2, 3, 4))
    assert changed[1:3].min() > 4 * changed[[0, 3]].max()
    assert accuracy(other, right[:, order]).min() > 0.6


def test_storyimager_carries_the_ground_of_given_frames_on():
    data = shapes("shapes-stories")
    method = made_of(StoryImager, data, frame_side=8)
    before = masked_loss(method)
    fit(method, epochs=12)
    assert masked_loss(method) < 0.5 * before
    count = len(GROUND_RGB)
    ground = torch.from_numpy(data.valid.labels[:, 0, -count:].argmax(-1))
    shades = torch.from_numpy(GROUND_RGB) * 2.0 - 1.0
    for given in ([1, 0, 0, 0], [0, 1, 0, 1]):
        sky = completed(method, given)[:, :, :, :2].mean((3, 4)).double()
        hit = (nearest(sky, shades) == ground[:, None]).double().mean(0)
        # Which of four it is stands in the first caption alone, and in the given frames.
        assert hit[[frame for frame, known in enumerate(given) if not known]].min() > 0.6
