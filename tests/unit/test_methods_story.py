"""storyimager, ar_story, storygan and ddpm_t2i: what their mechanics promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bench.errors import UserError
from bench.methods.base import Context
from bench.methods.generation.ar_story import ARStory
from bench.methods.generation.ddpm_t2i import DDPM
from bench.methods.generation.storygan import StoryGAN, divergence, judged
from bench.methods.generation.storyimager import StoryImager
from bench.methods.generator import Prompts, StoryBatch
from bench.methods.layers.frozen import frozen_names
from bench.methods.layers.story_attention import FrameStoryAttention, adapter_parameters
from bench.methods.layers.storygan_blocks import DynamicFilter
from bench.testing.generation import batch_of, fit, small_world

SMALL = {"channels": (8, 16), "heads": 2, "width": 16, "sampling_steps": 3, "frame_side": 8, "batch_size": 8}


def build(cls, data=None, **config):
    torch.manual_seed(0)
    small = SMALL if cls in (StoryImager, ARStory) else {}
    return cls(cls.Config(**(small | config)), Context(data or small_world("story", train=8)))


def told(method, given, *, seed=0, frames=None, captions=None):
    batch = batch_of(method.data.valid, slice(0, len(given)))
    shown = (batch.frames if frames is None else frames) * given[:, :, None, None, None]
    method.eval()
    with torch.no_grad():
        return method.complete(shown, given, captions or batch.captions, torch.Generator().manual_seed(seed))


def swapped(captions, first, second):
    order = list(range(4))
    order[first], order[second] = second, first
    texts = tuple(tuple(story[i] for i in order) for story in captions.texts)
    return captions._replace(tokens=captions.tokens[:, order], lengths=captions.lengths[:, order], texts=texts)


NONE = torch.zeros(2, 4, dtype=torch.bool)


class Always:
    """A mask bank with one pattern."""

    def __init__(self, *given):
        self.given = torch.tensor(given, dtype=torch.bool)

    def draw(self, count, device):
        return self.given.expand(count, -1).to(device)


def recorded(method, batch):
    """Returns the loss of a batch, and what the U-Net was given and answered."""
    seen = {}

    def hook(module, args, options, output):
        seen.update(noisy=args[0], t=args[1], answer=output.sample)

    handle = method.parts.unet.register_forward_hook(hook, with_kwargs=True)
    torch.manual_seed(3)
    loss = method.loss(batch).total
    handle.remove()
    return loss, seen


def test_known_cells_stay_clean_and_the_loss_counts_target_cells_alone():
    method = build(StoryImager, drop_captions=0.0)
    method.masks = Always(1, 0, 1, 0)
    batch = batch_of(method.data.train, slice(0, 4))
    loss, seen = recorded(method, batch)
    clean = method.board.untile(method.latents(batch.frames))
    noisy, answer = method.board.untile(seen["noisy"]), method.board.untile(seen["answer"])
    assert noisy[:, [0, 2]].equal(clean[:, [0, 2]])
    assert (noisy[:, [1, 3]] != clean[:, [1, 3]]).any()
    torch.testing.assert_close(loss, functional.mse_loss(answer[:, [1, 3]], clean[:, [1, 3]]))


def test_known_cells_are_put_back_before_every_step():
    method = build(StoryImager, guidance=1.0)
    given = torch.tensor([[False, True, False, False], [False, False, True, True]])
    batch = batch_of(method.data.valid, slice(0, 2))
    known, inputs = method.board.untile(method.latents(batch.frames)), []
    method.parts.unet.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    told(method, given)
    assert len(inputs) == 3
    for z in inputs:
        assert method.board.untile(z)[given].equal(known[given])


def test_the_same_stream_draws_the_same_story_and_another_one_does_not():
    for method in (build(StoryImager), build(ARStory)):
        assert told(method, NONE).equal(told(method, NONE))
        assert not told(method, NONE).equal(told(method, NONE, seed=1))


def test_guidance_off_never_asks_without_captions():
    for cls in (StoryImager, ARStory):
        calls = {}
        for guidance in (1.0, 2.0):
            method, count = build(cls, guidance=guidance), []
            method.parts.unet.register_forward_pre_hook(lambda *_, count=count: count.append(1))
            told(method, NONE)
            calls[guidance] = len(count)
        assert calls[2.0] == 2 * calls[1.0]


def test_adapters_are_trained_with_the_rest_when_there_is_no_checkpoint():
    method = build(StoryImager)
    assert not frozen_names(method)
    crosses = [part for part in method.modules() if isinstance(part, FrameStoryAttention)]
    assert len(crosses) == sum(name.endswith(".attn2") for name, _ in method.parts.unet.named_modules())
    before = [weight.clone() for weight in adapter_parameters(method.parts.unet)]
    fit(method, epochs=3)
    moved = [not old.equal(new) for old, new in zip(before, adapter_parameters(method.parts.unet), strict=True)]
    assert all(moved)


def test_swapping_two_captions_changes_their_frames_most():
    data = small_world("story", train=32)
    method = build(StoryImager, data, lr=5e-3, drop_captions=0.0, guidance=1.0, clip_norm=None, schedule="exponential")
    fit(method, epochs=12)
    captions = batch_of(data.valid, slice(0, 8)).captions
    # Frame 0 stands at the left and frame 1 at the right.
    captions = captions._replace(tokens=captions.tokens.clone())
    for frame, side in enumerate(("left", "right", "left", "right")):
        captions.tokens[:, frame, 5] = data.vocabulary.index(side)
    none = torch.zeros(8, 4, dtype=torch.bool)
    change = told(method, none, captions=swapped(captions, 0, 1)) - told(method, none, captions=captions)
    by_frame = change.abs().mean((0, 2, 3, 4))
    assert by_frame[:2].min() > 2 * by_frame[2:].max()


def longer(order):
    """A small world whose stories show their four frames in another order, any number of times."""
    data = small_world("story", train=8)
    fields = ("frames", "tokens", "lengths", "texts")
    parts = {
        name: replace(part, **{field: getattr(part, field)[:, order] for field in fields})
        for name, part in (("train", data.train), ("valid", data.valid))
    }
    return replace(data, **parts)


def test_five_frames_leave_one_cell_empty():
    method = build(StoryImager, longer([0, 1, 2, 3, 0]))
    assert (method.board.rows, method.board.columns, method.board.frames) == (2, 3, 5)
    fit(method, epochs=1)
    assert told(method, torch.zeros(2, 5, dtype=torch.bool)).shape == (2, 5, 3, 16, 16)


@pytest.mark.parametrize("cls", [StoryImager, ARStory, StoryGAN])
def test_stories_of_eight_frames_are_learnt_and_completed(cls):
    small = {"encoder": "tiny-1-2", "width": 4, "noise": 3, "context": 6} if cls is StoryGAN else {}
    method = build(cls, longer([0, 1, 2, 3, 2, 1, 0, 3]), **small)
    steps = fit(method, epochs=1)
    assert all(loss == loss for losses in steps.losses.values() for loss in losses)
    given = torch.tensor([[1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0, 1, 1]], dtype=torch.bool)
    made, shown = told(method, given), batch_of(method.data.valid, slice(0, 2)).frames
    assert made.shape == (2, 8, 3, 16, 16) and bool(torch.isfinite(made).all())
    assert made[given].equal(shown[given])
    # The same picture and caption stand at places 1 and 5, which only the place tells apart.
    assert cls is StoryGAN or not made[0, 1].equal(made[0, 5])


def test_a_frame_depends_on_nothing_that_comes_later_in_the_auto_regressive_story():
    method = build(ARStory)
    later = torch.tensor([[False, False, True, True]]).expand(2, -1)
    alone, helped = told(method, NONE), told(method, later)
    assert alone[:, :2].equal(helped[:, :2])
    first = torch.tensor([[True, False, False, False]]).expand(2, -1)
    assert not told(method, first)[:, 1:].equal(alone[:, 1:])


def test_the_auto_regressive_loss_sees_strictly_earlier_frames():
    method = build(ARStory)
    batch = batch_of(method.data.train, slice(0, 2))
    drop = torch.tensor([False, True])
    words = method.words(batch.captions, drop)
    history = method.history(method.fitted(batch.frames), words, batch.captions.texts)
    for frame in range(4):
        real = method.condition(words, history, frame, drop).real[:, -4:]
        assert real.int().tolist() == [[1] * frame + [0] * (4 - frame), [0, 0, 0, 0]]


def test_the_baselines_say_what_they_cannot_do():
    assert ARStory.modes == ("visualisation", "continuation") and StoryGAN.modes == ("visualisation",)


def test_a_dynamic_filter_filters_each_row_with_its_own_kernel():
    torch.manual_seed(0)
    module = DynamicFilter(5, 3, channels=2, side=4, kernel=3).double()
    sentences, states = torch.randn(2, 5).double(), torch.randn(2, 3).double()
    found = module(sentences, states)
    picture = torch.tanh(module.picture(sentences)).view(2, 2, 4, 4)
    kernel = torch.tanh(module.filter(states)).view(2, 2, 3, 3)
    padded = functional.pad(picture, (1, 1, 1, 1))
    wanted = (padded[1, 0, 1:4, 2:5] * kernel[1, 0]).sum() / 3
    torch.testing.assert_close(found[1, 0, 1, 2], wanted)


def test_the_divergence_is_that_of_a_normal_distribution():
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.2, -0.4]])
    one = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    wanted = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(divergence(mean, log_variance), wanted)


def test_each_player_of_storygan_is_moved_by_its_own_steps():
    method = build(StoryGAN, encoder="tiny-1-2", width=4, noise=3, context=6)
    encoder = {name: weight.clone() for name, weight in method.encoder.state_dict().items()}
    order = []
    for name, loss in method.steps(batch_of(method.data.train, slice(0, 4))):
        order.append(name)
        method.zero_grad()
        loss.total.backward()
        player = {"frame_judge": method.frame_judge, "story_judge": method.story_judge, "generator": method.drawer}
        assert all(weight.grad is not None for weight in player[name].parameters())
        if name != "generator":
            assert all(weight.grad is None for weight in method.drawer.parameters())
    assert order == ["frame_judge", "story_judge", "generator", "generator"]
    assert all(weight.equal(encoder[name]) for name, weight in method.encoder.state_dict().items())


def test_a_wrong_pair_is_the_caption_of_the_story_before():
    method = build(StoryGAN, encoder="tiny-1-2", width=4, noise=3, context=6)
    batch = batch_of(method.data.train, slice(0, 3))
    sentences = method.sentences(batch.captions)
    parts = judged(method.frame_judge, batch.frames, batch.frames, sentences).parts
    logits = method.frame_judge(batch.frames, sentences[[2, 0, 1]])
    torch.testing.assert_close(parts["mismatch"], functional.softplus(logits).mean())


def test_sides_and_kernels_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="halves images"):
        build(StoryGAN, small_world("story", train=4, side=12), encoder="tiny-1-2")
    with pytest.raises(UserError, match="must be odd"):
        build(StoryGAN, encoder="tiny-1-2", kernel=4)
    with pytest.raises(UserError, match="cannot be halved"):
        build(StoryImager, frame_side=9)
    with pytest.raises(UserError, match="multiples of 8"):
        build(StoryImager, channels=(8, 12))
    with pytest.raises(UserError, match="two levels"):
        build(ARStory, channels=(8,))


def test_a_left_out_caption_is_one_learnt_word():
    method = build(DDPM, small_world("text_to_image", train=4), channels=(8, 16), heads=2, width=16)
    captions = batch_of(method.data.train, slice(0, 2)).captions
    words = method.words(captions, torch.tensor([True, False]))
    assert words.real.sum(1).tolist() == [1, 6]
    null = method.words(Prompts(torch.zeros(1, 1).long(), torch.ones(1).long(), ("",)), torch.tensor([False]))
    torch.testing.assert_close(words.tokens[0, 0], null.tokens[0, 0])
    # The sum over a normalised word is a constant; one entry is not.
    null.tokens[..., 0].sum().backward()
    assert method.parts.captions.table.weight.grad[0].any()


def test_frames_larger_than_the_drawn_ones_are_resized():
    data = small_world("story", train=4, side=20)
    method = build(StoryImager, data)
    assert method.latents(batch_of(data.train, slice(0, 2)).frames).shape == (2, 3, 16, 16)
    given = torch.tensor([[True, False, False, True]])
    made = told(method, given)
    assert made.shape == (1, 4, 3, 20, 20)
    assert made[given].equal(batch_of(data.valid, slice(0, 1)).frames[given])
    assert isinstance(batch_of(data.train, slice(0, 1)), StoryBatch)
