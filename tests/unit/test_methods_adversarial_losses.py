"""The losses of the adversarial makers of images, in numbers worked out by hand around players of one multiplication.

A judge's logit is (first pixel of the image) x (first entry of the sentence), so its slope is that sentence and that
pixel, and the matching-aware penalty of a row is 2 (pixel^2 + sentence^2)^3.
"""

from __future__ import annotations

from math import log

import pytest
import torch
from generation_worlds import FAST, make, world
from torch import nn

from bench.methods.generation import storygan
from bench.methods.generation.channel_affine import ChannelAffineEditor
from bench.methods.generation.denet import DENet
from bench.methods.generation.dfgan import DFGAN
from bench.methods.generation.galip import GALIP
from bench.methods.generation.spatial_affine import SpatialAffineEditor
from bench.methods.generation.storygan import StoryGAN
from bench.methods.generator import ImageTextBatch, Prompts, StoryBatch, StoryPrompts
from bench.methods.layers.clip_towers import Looks
from bench.methods.layers.storygan_blocks import Drawn

SIDE = 8
SMALL = {"encoder": FAST, "width": 4}
EDITORS = (DENet, ChannelAffineEditor, SpatialAffineEditor)
SENTENCES = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
REAL, MADE = (0.5, 0.0, -0.5), (1.0, -1.0, 0.5)
PENALTY = 2 * (1.25**3 + 4.0**3 + 1.25**3) / 3
"""Of the rows (pixel, sentence) = (0.5, 1), (0, 2), (-0.5, -1)."""


def pictures(firsts, side=SIDE):
    """Images that are black but for the red of their first pixel."""
    images = torch.zeros(len(firsts), 3, side, side, dtype=torch.float64)
    images[:, 0, 0, 0] = torch.tensor(firsts, dtype=torch.float64)
    return images


class Judge(nn.Module):
    """One multiplication."""

    def features(self, images):
        return images[:, 0, 0, 0]

    def forward(self, features, sentences):
        return features * sentences[:, 0]


class Maker(nn.Module):
    """Makes the same images whatever it is told; `told` has the sentences."""

    def __init__(self, images):
        super().__init__()
        self.first = nn.Linear(1, 1, dtype=torch.float64)
        self.images, self.told = nn.Parameter(images), []

    def forward(self, given, sentences, tower=None):
        self.told.append(sentences)
        return self.images * 1.0


class Encoder(nn.Module):
    """Sentences by the first token of a caption; an image is seen as the first two pixels of its red."""

    tower = None

    def texts(self, prompts):
        return SENTENCES[prompts.tokens[:, 0]]

    def images(self, images):
        return images[:, 0, 0, :2]


def captions(*numbers):
    return Prompts(torch.tensor(numbers)[:, None], torch.ones(len(numbers)), ("",) * len(numbers))


def stand_ins(cls, made=MADE, **config):
    """Builds a method and puts players of known numbers into it."""
    task = "image_editing" if cls in EDITORS else "text_to_image"
    method = make(cls, world(task=task, side=SIDE), dtype=torch.float64, **SMALL, **config)
    method.encoder, method.discriminator = Encoder(), Judge()
    setattr(method, "editor" if cls in EDITORS else "generator", Maker(pictures(made)))
    if cls is GALIP:
        # In place of CLIP: the map is the image, the vector its first two pixels.
        method.look = lambda images: Looks(images, images[:, 0, 0, :2])
    return method


def losses(method, batch):
    found = dict(method.steps(batch))
    assert [*found] == ["discriminator", "generator"]
    return found["discriminator"], found["generator"]


def numbers(loss):
    return {name: part.item() for name, part in loss.parts.items()}, loss.total.item()


@pytest.mark.parametrize("cls", [DFGAN, GALIP])
def test_the_judge_of_a_generator_has_the_published_loss(cls):
    loss, _ = losses(stand_ins(cls), ImageTextBatch(pictures(REAL), captions(0, 1, 2)))
    # Logits: real (0.5, 0, 0.5); made (1, -2, -0.5). DF-GAN moves the images up, (0, -0.5, 0.5) x (1, 2, -1);
    # GALIP the sentences, (0.5, 0, -0.5) x (2, -1, 1).
    mismatch = (1.0 + 0.0 + 0.5) / 3 if cls is DFGAN else (2.0 + 1.0 + 0.5) / 3
    parts, total = numbers(loss)
    assert parts == pytest.approx(
        {
            "real": (0.5 + 1.0 + 0.5) / 3,
            "fake": (2.0 + 0.0 + 0.5) / 3,
            "mismatch": mismatch,
            "penalty": PENALTY,
        }
    )
    assert total == pytest.approx(2.0 / 3 + 0.5 * (2.5 / 3 + mismatch) + PENALTY)


@pytest.mark.parametrize("cls", [DFGAN, GALIP])
def test_penalty_weight_and_power_are_the_configured_ones(cls):
    method = stand_ins(cls, penalty=3.0, penalty_power=4.0)
    loss, _ = losses(method, ImageTextBatch(pictures(REAL), captions(0, 1, 2)))
    assert loss.parts["penalty"].item() == pytest.approx(3 * (1.25**2 + 4.0**2 + 1.25**2) / 3)


def test_dfgans_generator_is_paid_for_what_the_judge_thinks():
    _, loss = losses(stand_ins(DFGAN), ImageTextBatch(pictures(REAL), captions(0, 1, 2)))
    # -(1 - 2 - 0.5) / 3
    assert loss.total.item() == pytest.approx(0.5)


def test_galips_generator_is_paid_for_the_judge_and_for_clips_cosine():
    method = stand_ins(GALIP, similarity=8.0)
    with torch.no_grad():
        # Cosines with (1, 0), (2, 0) and (-1, 0): 0.6, -1 and -1.
        method.generator.images[0, 0, 0, :2] = torch.tensor([0.6, 0.8])
    _, loss = losses(method, ImageTextBatch(pictures(REAL), captions(0, 1, 2)))
    parts, total = numbers(loss)
    adversarial = -(0.6 - 2.0 - 0.5) / 3
    similarity = (0.6 - 1.0 - 1.0) / 3
    assert parts == pytest.approx({"adversarial": adversarial, "similarity": similarity})
    assert total == pytest.approx(adversarial - 8 * similarity)


@pytest.mark.parametrize("cls", EDITORS)
@pytest.mark.parametrize("targets", ["given", "rolled"])
def test_the_judge_of_an_editor_sees_results_with_what_was_asked_for(cls, targets):
    batch = ImageTextBatch(pictures(REAL), captions(0, 1, 2), captions(1, 1, 0))
    method = stand_ins(cls, targets=targets)
    loss, _ = losses(method, batch)
    # What was asked for: given (2, 2, 1), rolled (2, -1, 1).
    fake = (3.0 + 0.0 + 1.5) / 3 if targets == "given" else (3.0 + 2.0 + 1.5) / 3
    parts, total = numbers(loss)
    # Sources with their own captions, (0.5, 0, 0.5), and with their neighbours', (0.5, 0, -0.5) x (2, -1, 1).
    wanted = {"real": 2.0 / 3, "fake": fake, "mismatch": (2.0 + 1.0 + 0.5) / 3, "penalty": PENALTY}
    assert parts == pytest.approx(wanted)
    assert total == pytest.approx(2.0 / 3 + 0.5 * (fake + 3.5 / 3) + PENALTY)
    assert method.editor.told[0][:, 0].tolist() == ([2.0, 2.0, 1.0] if targets == "given" else [2.0, -1.0, 1.0])


@pytest.mark.parametrize("cls", EDITORS)
def test_the_loss_of_an_editor(cls):
    method = stand_ins(cls, similarity=3.0, reconstruction=7.0, identity=11.0)
    edited, images = pictures((1.0, -1.0, 0.6)), pictures(REAL)
    edited[2, 0, 0, 1] = 0.8
    # What the editor makes of the sources' own captions; its other pixels are the sources'.
    method.editor = Maker(pictures((0.5, 1.0, 0.5)))
    targets, own = SENTENCES[[1, 0, 0]], SENTENCES
    parts, total = numbers(method.editor_loss(edited, images, own, targets))
    pixels = 3 * 3 * SIDE * SIDE
    wanted = {
        "adversarial": -(2.0 - 1.0 + 0.6) / 3,
        # Cosines of (1, 0) with (2, 0), (-1, 0) with (1, 0), (0.6, 0.8) with (1, 0).
        "similarity": (1.0 - 1.0 + 0.6) / 3,
        "reconstruction": (0.25 + 1.0 + 1.21 + 0.64) / pixels,
        "identity": (0.0 + 1.0 + 1.0) / pixels,
    }
    assert parts == pytest.approx(wanted)
    assert total == pytest.approx(-1.6 / 3 - 3 * 0.2 + 7 * 3.1 / pixels + 11 * 2.0 / pixels)
    assert method.editor.told[0] is own


@pytest.mark.parametrize("cls", EDITORS)
def test_an_editors_second_step_is_the_loss_of_what_it_made(cls):
    batch = ImageTextBatch(pictures(REAL), captions(0, 1, 2), captions(1, 0, 0))
    method = stand_ins(cls, similarity=1.0, reconstruction=1.0)
    _, loss = losses(method, batch)
    pixels = 3 * 3 * SIDE * SIDE
    # Logits (2, -1, 0.5), cosines (1, -1, 1), differences (0.5, -1, 1).
    assert loss.total.item() == pytest.approx(-0.5 - 1.0 / 3 + 2.25 / pixels)
    loss.total.backward()
    # d/dy of -y e / 3 - cos / 3 + (y - x)^2 / pixels; the cosine is flat along its own direction.
    slope = method.editor.images.grad[:, 0, 0, 0].tolist()
    assert slope == pytest.approx([-2 / 3 + 1.0 / pixels, -1 / 3 - 2.0 / pixels, -1 / 3 + 2.0 / pixels])


class FrameByFrame(nn.Module):
    """As `Judge`, for the frames of stories."""

    def forward(self, frames, sentences):
        return (frames[:, :, 0, 0, 0] * sentences[:, :, 0]).flatten()


class Whole(nn.Module):
    """Sums the frames' logits of a story."""

    def forward(self, frames, sentences):
        return (frames[:, :, 0, 0, 0] * sentences[:, :, 0]).sum(1)


@pytest.fixture
def story(monkeypatch):
    """StoryGAN with two stories of two frames and judges of one multiplication; odds are e to the logit."""
    method = make(StoryGAN, world(task="story", side=SIDE), width=4, noise=3, context=2, encoder=FAST)
    odds = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    sentences = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)[:, :, None]
    made = pictures([log(2.0), log(3.0), log(2.0), 0.0]).unflatten(0, (2, 2))
    mean = torch.tensor([[1.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
    spread = torch.tensor([[0.0, log(2.0)], [0.0, 0.0]], dtype=torch.float64)
    monkeypatch.setattr(method, "sentences", lambda captions: sentences)
    monkeypatch.setattr(method, "draw", lambda sentences: Drawn(made, mean, spread))
    method.frame_judge, method.story_judge = FrameByFrame(), Whole()
    frames = pictures(odds.log().flatten().tolist()).unflatten(0, (2, 2))
    ones = torch.ones(2, 2)
    return method, StoryBatch(frames, StoryPrompts(ones[..., None].long(), ones, (("", ""),) * 2))


def entropy(odds, answer):
    """-log of the probability of an answer, averaged; the probability of yes is odds / (1 + odds)."""
    return sum(log((1 + one) / one) if answer else log(1 + one) for one in odds) / len(odds)


def test_both_judges_of_storygan_have_their_loss(story):
    method, batch = story
    found = list(method.steps(batch))
    assert [name for name, _ in found] == ["frame_judge", "story_judge", "generator", "generator"]
    # Logits are the logs of these odds; a sentence of -1 turns odds over.
    cases = {
        "frame_judge": {"real": (2, 1, 1, 3), "fake": (2, 3, 1 / 2, 1), "mismatch": (1 / 2, 1, 1, 3)},
        "story_judge": {"real": (2, 3), "fake": (6, 1 / 2), "mismatch": (1 / 2, 3)},
    }
    for name, loss in found[:2]:
        wanted = {part: entropy(odds, part == "real") for part, odds in cases[name].items()}
        parts, total = numbers(loss)
        assert parts == pytest.approx(wanted)
        assert total == pytest.approx(wanted["real"] + 0.5 * (wanted["fake"] + wanted["mismatch"]))


def test_storygans_generator_wants_both_judges_to_say_yes(story):
    method, batch = story
    for _, loss in list(method.steps(batch))[2:]:
        parts, total = numbers(loss)
        # 0.5 (1 + 0 + 0 + 4 + (2 - 1 - log 2)) / 4, twice.
        wanted = {
            "frame": entropy((2, 3, 1 / 2, 1), answer=True),
            "story": entropy((6, 1 / 2), answer=True),
            "divergence": (6.0 - log(2.0)) / 4,
        }
        assert parts == pytest.approx(wanted)
        assert total == pytest.approx(sum(wanted.values()))


def test_storygans_answers_are_one_for_yes_and_nought_for_no():
    logits = torch.tensor([log(3.0), -log(3.0)], dtype=torch.float64)
    assert float(storygan.towards(logits, 1.0)) == pytest.approx((log(4 / 3) + log(4.0)) / 2)
    assert float(storygan.towards(logits[:1], 0.0)) == pytest.approx(log(4.0))
