"""Storyboards, masks, frame-story attention and the context extractor of StoryImager."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.methods.layers.captions import CaptionEncoder, Words
from bench.methods.layers.story_attention import AdaptedSelfAttention, FrameStoryAttention, LowRankSet, as_bias
from bench.methods.layers.story_context import ContextExtractor
from bench.methods.layers.storyboard import MaskBank, Storyboard, storyboard
from bench.methods.layers.unet import Diffusion, guided


@settings(max_examples=40)
@given(
    rows=st.integers(1, 3),
    columns=st.integers(1, 4),
    missing=st.integers(0, 3),
    order=st.sampled_from(["rows", "columns"]),
    cell=st.integers(1, 3),
)
def test_cutting_a_tiled_board_gives_the_frames_back(rows, columns, missing, order, cell):
    frames = max(1, rows * columns - missing)
    board = Storyboard(rows, columns, frames, order)
    story = torch.rand(2, frames, 3, cell, cell) + 1.0
    tiled = board.tile(story)
    assert tiled.shape == (2, 3, rows * cell, columns * cell)
    assert board.untile(tiled).equal(story)
    assert int((tiled == 0).sum()) == 2 * 3 * cell * cell * (rows * columns - frames)


def test_the_order_says_where_a_frame_lies():
    frames = torch.arange(4.0).view(1, 4, 1, 1, 1)
    assert Storyboard(2, 2, 4, "rows").tile(frames)[0, 0].tolist() == [[0, 1], [2, 3]]
    assert Storyboard(2, 2, 4, "columns").tile(frames)[0, 0].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_masks_lie_where_their_frames_lie(order):
    board = Storyboard(2, 3, 5, order)
    values = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0]])
    assert board.untile(board.spread(values, 2))[0, :, 0, 0, 0].equal(values[0])
    assert int(board.spread(torch.ones(1, 5), 2).sum()) == 5 * 4, "the padded cell is no target"


def test_a_grid_is_chosen_or_refused():
    assert storyboard(4, rows=None, columns=None, order="rows")[:2] == (2, 2)
    assert storyboard(5, rows=None, columns=None, order="rows")[:2] == (2, 3)
    assert storyboard(5, rows=1, columns=None, order="rows")[:2] == (1, 5)
    with pytest.raises(UserError, match="no room for 5 frames"):
        storyboard(5, rows=2, columns=2, order="rows")
    with pytest.raises(UserError, match="at most 12"):
        storyboard(13, rows=None, columns=None, order="rows")


def test_the_mask_bank_holds_every_pattern_once():
    bank = MaskBank.of(4)
    assert bank.prefixes.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    patterns = {tuple(row) for row in bank.others.int().tolist()}
    assert len(patterns) == len(bank.others) == 2**4 - 5  # all but the prefixes of 0 to 4 frames
    assert (0, 1, 0, 0) in patterns and (0, 0, 0, 0) not in patterns and (1, 1, 1, 1) not in patterns


def test_masks_are_drawn_a_third_of_each_kind():
    torch.manual_seed(0)
    drawn = MaskBank.of(4).draw(6000, torch.device("cpu"))
    known = drawn.sum(1)
    prefix = (drawn == (torch.arange(4) < known[:, None])).all(1)
    shares = [(known == 0), prefix & (known > 0), ~prefix]
    assert all(abs(float(share.float().mean()) - 1 / 3) < 0.03 for share in shares)
    assert not drawn.all(1).any()
    assert not MaskBank.of(1).draw(9, torch.device("cpu")).any()


def attention(width=4, context=3, heads=1):
    torch.manual_seed(0)
    return Attention(query_dim=width, cross_attention_dim=context, heads=heads, dim_head=width // heads).double()


def whole(layer, x, context):
    scores = (x @ layer.to_q.weight.T) @ (context @ layer.to_k.weight.T).T / x.shape[-1] ** 0.5
    return scores.softmax(-1) @ (context @ layer.to_v.weight.T) @ layer.to_out[0].weight.T + layer.to_out[0].bias


def test_frame_story_attention_is_what_its_formula_says_for_one_head():
    layer, board = attention(), Storyboard(2, 2, 4, "columns")
    module = FrameStoryAttention(layer, 2, board, 2).double()
    torch.manual_seed(1)
    board_map = torch.randn(1, 4, 4, 4, dtype=torch.float64)  # cells of 2 x 2
    words, told = torch.randn(4, 3, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    rows = board_map.flatten(2).transpose(1, 2)
    found = module(layer, rows, torch.cat([words.reshape(1, 12, 3), told[None]], dim=1))
    cells = {0: (0, 0), 1: (2, 0), 2: (0, 2), 3: (2, 2)}  # column by column
    wanted = whole(layer, rows[0], told).T.reshape(4, 4, 4)
    for frame, (top, left) in cells.items():
        here = board_map[0, :, top : top + 2, left : left + 2]
        seen = whole(layer, here.flatten(1).T, words[frame])
        wanted[:, top : top + 2, left : left + 2] += seen.T.reshape(4, 2, 2)
    torch.testing.assert_close(found[0].T.reshape(4, 4, 4), wanted)


def test_adapters_change_both_branches_by_their_own_weights():
    layer, board = attention(), Storyboard(1, 2, 2)
    module = FrameStoryAttention(layer, 2, board, 1).double()
    x, context = torch.randn(1, 2, 4).double(), torch.randn(1, 3, 3).double()
    before = module(layer, x, context)
    with torch.no_grad():
        module.story.value.up.weight.add_(0.5)
    change = module(layer, x, context) - before
    value = context[:, 2:] @ module.story.value.down.weight.T @ module.story.value.up.weight.T
    torch.testing.assert_close(change, (value @ layer.to_out[0].weight.T).expand(-1, 2, -1))


@pytest.mark.parametrize("heads", [1, 2])
def test_adapters_at_zero_leave_the_base_attention(heads):
    layer = attention(context=3, heads=heads)
    x, context = torch.randn(2, 5, 4).double(), torch.randn(2, 6, 3).double()
    torch.testing.assert_close(LowRankSet(layer, 3)(layer, x, context), layer(x, context))
    own = Attention(query_dim=4, heads=heads, dim_head=4 // heads).double()
    torch.testing.assert_close(AdaptedSelfAttention(own, 3)(own, x), own(x))


def test_a_frame_sees_its_own_caption_alone():
    layer, board = attention(), Storyboard(2, 2, 4, "columns")
    module = FrameStoryAttention(layer, 2, board, 2).double()
    x, context = torch.randn(1, 16, 4).double(), torch.randn(1, 14, 3).double()
    changed = context.clone()
    changed[:, 3:6] += 1.0  # the words of frame 1
    moved = (module(layer, x, changed) - module(layer, x, context)).transpose(1, 2).reshape(1, 4, 4, 4)
    by_frame = board.untile(moved).abs().flatten(2).amax(2)[0]
    assert by_frame[1] > 1e-3 and by_frame[[0, 2, 3]].max() == 0


def test_padding_is_not_attended_to():
    layer, board = attention(), Storyboard(1, 2, 2)
    module = FrameStoryAttention(layer, 2, board, 1).double()
    x, context = torch.randn(1, 2, 4).double(), torch.randn(1, 5, 3).double()
    real = torch.tensor([[True, False, True, True, True]])
    changed = context.clone()
    changed[:, 1] += 5.0
    bias = as_bias(real, torch.float64)[:, None]
    torch.testing.assert_close(module(layer, x, changed, bias), module(layer, x, context, bias))
    assert not torch.allclose(module(layer, x, changed), module(layer, x, context))


def extractor(board=None):
    torch.manual_seed(0)
    board = board or Storyboard(2, 2, 4, "columns")
    context = ContextExtractor(8, board, (3, 2, 2), queries=2, story_tokens=3, layers=1, heads=2, dtype=torch.float64)
    return context, Words(torch.randn(2 * board.frames, 5, 8).double(), torch.ones(2 * board.frames, 5).bool())


def test_the_latent_prior_is_zero_at_the_start_and_always_in_given_cells():
    context, words = extractor()
    given = torch.tensor([[True, False, False, True], [False, False, False, False]])
    told = context(words, given)
    assert told.tokens.shape == (2, 3, 8) and told.prior.shape == (2, 3, 4, 4)
    assert not told.prior.any()
    torch.nn.init.normal_(context.fold[-1].weight)
    prior = context.board.untile(context(words, given).prior).abs().flatten(2).amax(2)
    assert (prior[given] == 0).all() and (prior[~given] > 0).all()


def test_the_prior_has_nothing_in_padded_cells():
    board = Storyboard(2, 3, 5, "rows")
    context, words = extractor(board)
    torch.nn.init.normal_(context.fold[-1].weight)
    prior = context(words, torch.zeros(2, 5, dtype=torch.bool)).prior
    assert not prior[:, :, 2:, 4:].any() and prior[:, :, :2].all()


def test_global_tokens_read_every_caption():
    context, words = extractor()
    given = torch.zeros(2, 4, dtype=torch.bool)
    before = context(words, given).tokens
    for frame in range(4):
        tokens = words.tokens.clone()
        tokens[frame] *= -1.0  # of the first story
        after = context(Words(tokens, words.real), given).tokens
        assert not torch.allclose(after[0], before[0]) and torch.allclose(after[1], before[1])


def test_what_follows_a_caption_never_reaches_its_words():
    torch.manual_seed(0)
    encoder = CaptionEncoder(9, 8, words=6, layers=1, heads=2, dtype=torch.float64).eval()
    tokens, lengths = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]]), torch.tensor([3, 4])
    alone = encoder(tokens[:1, :3], lengths[:1])
    together = encoder(tokens, lengths)
    torch.testing.assert_close(together.tokens[0, :3], alone.tokens[0])
    torch.testing.assert_close(together.mean[0], alone.mean[0])
    assert encoder(torch.ones(1, 50).long(), torch.tensor([50])).tokens.shape[1] == 6


@pytest.mark.parametrize("prediction", ["sample", "epsilon", "v_prediction"])
def test_a_network_that_is_right_walks_back_to_the_picture(prediction):
    torch.manual_seed(0)
    diffusion = Diffusion.of_pixels(prediction)
    clean = torch.rand(2, 3, 4, 4, dtype=torch.float64) * 1.6 - 0.8

    def right(z, t):
        alpha = diffusion.forward.alphas_cumprod[t].view(-1, 1, 1, 1)
        noise = (z - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        return diffusion.target(clean, noise, t)

    # With the noise predicted, the first steps divide rounding errors by a tiny √ᾱ_T; the last ones mend them.
    found = diffusion.walk(right, torch.randn_like(clean), steps=20)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-3)


def test_guidance_switched_off_is_the_conditional_prediction():
    answers = {True: torch.tensor([2.0]), False: torch.tensor([1.0])}
    asked = []

    def predict(shown):
        asked.append(shown)
        return answers[shown]

    assert guided(predict, 1.0) is answers[True] and asked == [True]
    assert guided(predict, 3.0).tolist() == [4.0]
