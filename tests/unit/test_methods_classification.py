import itertools
import math

import pytest
import torch
from torch.nn import functional

from bench.methods.classifier import TextBatch
from bench.methods.layers.alignment import alignment_targets, same_class_targets, symmetric_info_nce
from bench.methods.layers.image_heads import text_of, training_text
from bench.methods.layers.text import GRUEncoder, MeanEncoder, MultiHotEncoder, multi_hot, text_encoder
from bench.methods.registry import METHODS
from bench.testing.classification import batch_of, build, fit, logits_of, small_config, small_world

F64 = torch.float64


def text(*rows):
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    return TextBatch(tokens, torch.tensor([len(row) for row in rows]))


class TestAlignment:
    def test_targets_share_an_image_among_the_texts_of_its_class(self):
        targets = same_class_targets(torch.tensor([2, 0, 2]), F64)
        assert targets.tolist() == [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]

    def test_instance_targets_are_the_identity(self):
        batch = batch_of(small_world(), [0, 4, 1])
        assert alignment_targets(batch, F64, by_class=False).equal(torch.eye(3, dtype=F64))
        assert alignment_targets(batch, F64, by_class=True)[0].tolist() == [0.5, 0.5, 0]

    def test_the_loss_of_three_images_is_what_a_hand_computes(self):
        images = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], dtype=F64)
        texts = torch.tensor([[1.0, 0.0], [0.0, 5.0], [0.0, 1.0]], dtype=F64)
        targets = same_class_targets(torch.tensor([0, 1, 0]), F64)
        cosines = [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
        tau = 0.5
        wanted = 0.0
        for table in (cosines, [list(column) for column in zip(*cosines, strict=True)]):
            for row, goal in zip(table, targets.tolist(), strict=True):
                norm = math.log(sum(math.exp(value / tau) for value in row))
                wanted += sum(g * (norm - value / tau) for g, value in zip(goal, row, strict=True)) / 3 / 2
        assert symmetric_info_nce(images, texts, targets, tau).item() == pytest.approx(wanted, abs=1e-12)

    def test_agreeing_pairs_lose_less_than_shuffled_ones(self):
        vectors = torch.randn(6, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
        eye = torch.eye(6, dtype=F64)
        assert symmetric_info_nce(vectors, vectors, eye, 0.1) < symmetric_info_nce(
            vectors, vectors.roll(1, 0), eye, 0.1
        )


class TestText:
    def test_multi_hot_ignores_padding_order_and_number(self):
        one, other = multi_hot(text([3, 1, 1], [2]).tokens, 5, F64)
        assert one.tolist() == [1, 0, 1, 0] and other.tolist() == [0, 1, 0, 0]

    @pytest.mark.parametrize("kind", [MultiHotEncoder, MeanEncoder, GRUEncoder])
    def test_padding_does_not_count(self, kind):
        encoder = kind(7, 6, F64)
        alone, crowd = encoder(text([3, 1])), encoder(text([3, 1], [2, 4, 5, 6, 1]))
        torch.testing.assert_close(alone[0], crowd[0])

    def test_only_the_gru_knows_order(self):
        for kind, knows in ((MultiHotEncoder, False), (MeanEncoder, False), (GRUEncoder, True)):
            forwards, backwards = kind(7, 6, F64)(text([1, 2, 3], [3, 2, 1]))
            assert (not torch.allclose(forwards, backwards)) == knows

    def test_the_form_of_the_text_chooses_the_encoder(self):
        words, sentence = small_world().text, small_world(form="sentence").text
        assert isinstance(text_encoder(words, 4, F64), MultiHotEncoder)
        assert isinstance(text_encoder(sentence, 4, F64), GRUEncoder)
        assert isinstance(text_encoder(sentence, 4, F64, kind="mean"), MeanEncoder)

    def test_missing_text_is_said(self):
        data = small_world()
        batch = batch_of(data, [0])._replace(text=None)
        with pytest.raises(TypeError, match="no text"):
            text_of(batch)
        method = build({"method": "resnet"}, data)
        object.__setattr__(data, "text", None)
        with pytest.raises(TypeError, match="small-world"):
            training_text(method.context)


def clip(data, **changes):
    entry = {"method": "clip_align"}
    return build(entry, data, config=small_config(entry) | changes, dtype=F64)


class TestClipAlign:
    def test_the_loss_is_cross_entropy_plus_weighted_alignment(self):
        data = small_world()
        method = clip(data, align=0.7)
        batch = batch_of(data, [0, 1, 4], F64)
        method.eval()
        features = method.features(batch.images)
        aligned = symmetric_info_nce(
            method.image_projection(features),
            method.text_projection(method.text(batch.text)),
            same_class_targets(batch.labels, F64),
            method.config.temperature,
        )
        loss = method.loss(batch)
        smoothed = functional.cross_entropy(method.logits(batch.images), batch.labels, label_smoothing=0.1)
        wanted = smoothed + 0.7 * aligned
        torch.testing.assert_close(loss.total, wanted)
        torch.testing.assert_close(loss.parts["align"], 0.7 * aligned)

    @pytest.mark.parametrize("probe", [False, True])
    def test_a_probe_leaves_the_encoder_to_the_alignment(self, probe):
        data = small_world()
        method = clip(data, probe=probe, align=0.0)
        method.loss(batch_of(data, [0, 1, 4], F64)).total.backward()
        moved = any(bool(p.grad.any()) for p in method.backbone.parameters())
        assert moved != probe and bool(method.head.weight.grad.any())

    def test_the_transformer_is_one_of_its_encoders(self):
        data = small_world()
        assert clip(data, backbone="vit").features(batch_of(data, [0], F64).images).shape == (1, 32)


class TestPrivilegedText:
    def build(self, data, **changes):
        entry = {"method": "privileged_text"}
        return build(entry, data, config=small_config(entry) | changes, dtype=F64)

    def test_alignment_is_divergence_plus_square_of_the_shared_part(self):
        data = small_world()
        method = self.build(data, align=1.0)
        batch = batch_of(data, [0, 1, 4], F64)
        features = method.features(batch.images)
        student, teacher = features[:, :12], method.text_features(batch)[:, :12]
        p, q = teacher.softmax(1), student.softmax(1)
        wanted = (p * (p / q).log()).sum() / 3 + ((student - teacher) ** 2).mean()
        torch.testing.assert_close(method.auxiliary(features, batch)["align"], wanted)

    def test_images_follow_texts_and_not_the_reverse(self):
        data = small_world()
        method = self.build(data)
        batch = batch_of(data, [0, 1, 4], F64)
        parts = method.auxiliary(method.features(batch.images), batch)
        (parts["align"] + parts["regress"]).backward()
        assert all(p.grad is None for p in [*method.text.parameters(), *method.text_map.parameters()])
        assert bool(method.visual_map[0].weight.grad.any()) and bool(method.regression[0].weight.grad.any())

    @pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
    def test_any_share_of_the_latent_can_be_aligned(self, share):
        data = small_world()
        method = self.build(data, share=share)
        assert method.features(batch_of(data, [0, 1], F64).images).shape == (2, 24)

    def test_every_part_is_trained(self):
        data = small_world()
        method = self.build(data)
        method.loss(batch_of(data, range(16), F64)).total.backward()
        for name, child in method.named_children():
            assert any(p.grad is not None and bool(p.grad.any()) for p in child.parameters()), name

    def test_naming_words_gets_better(self):
        data = small_world()
        entry = {"method": "privileged_text"}
        method = build(entry, data)
        curve = fit(method, data, epochs=8).curve
        for part in ("words", "regress", "image", "text_ce"):
            assert curve[-1].values[f"loss/{part}"] < curve[0].values[f"loss/{part}"], part


def test_label_smoothing_reaches_the_loss():
    data = small_world()
    batch = batch_of(data, [0, 1, 2], F64)
    entry = {"method": "resnet"}
    method = build(entry, data, config=small_config(entry) | {"label_smoothing": 0.1}, dtype=F64).eval()
    wanted = functional.cross_entropy(method.logits(batch.images), batch.labels, label_smoothing=0.1)
    torch.testing.assert_close(method.loss(batch).total, wanted)


def test_methods_that_learn_from_text_say_so():
    for name, needs in (
        ("resnet", False),
        ("vit", False),
        ("clip_align", True),
        ("privileged_text", True),
        ("marnet", True),
    ):
        assert ("text" in METHODS.get(name).needs.modalities) == needs
        assert METHODS.get(name).tasks == {"classification"}


def test_text_methods_predict_by_the_image_alone_whatever_the_options():
    data = small_world()
    for method, backbone in itertools.product(("clip_align", "privileged_text"), ("resnet", "vit")):
        entry = {"method": method}
        built = build(entry, data, config=small_config(entry) | {"backbone": backbone})
        before = logits_of(built, data)
        for p in built.text.parameters():
            p.data.fill_(float("nan"))
        assert torch.equal(before, logits_of(built, data))
