"""Training of an editor of images against a discriminator and a frozen image-text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from torch.nn import functional

from bench.methods.base import Context, Loss
from bench.methods.generator import ImageEditor
from bench.methods.layers.adversarial import discriminator_loss, leaf, matching_penalty, mismatched
from bench.methods.layers.conditional_gan import AdversarialConfig, as_pixels, check_halvable, encoder_of, players
from bench.methods.layers.denet_blocks import Discriminator, Editor, Parts
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from bench.methods.base import Group
    from bench.methods.generator import ImageTextBatch, Prompts
    from bench.spec.config import MethodConfig


class EditorConfig(AdversarialConfig):
    """What DE-Net and its ablations can set; published: width 32, lr 1e-4 and 4e-4, batch 32, 256 pixels."""

    width: int = 16
    """nf, channels at full size, of both networks; eight times as many at small sizes."""
    similarity: Annotated[float, Choices(1.0, 4.0, 8.0)] = 4.0
    """λ_sim, weight of the encoder's cosine between result and target caption (RECONSTRUCTED)."""
    reconstruction: Annotated[float, Choices(1.0, 5.0, 20.0)] = 5.0
    """λ_rec, weight of the mean squared difference between result and source (RECONSTRUCTED)."""
    identity: float = 0.0
    """λ_id, weight of the same for the source's own caption, which should change nothing (RECONSTRUCTED)."""
    targets: Literal["given", "rolled"] = "given"
    """Target captions in training: those of the data's edits where a batch has them, or always those of the next image
    in the batch (RECONSTRUCTED; the published protocol asks for a random other caption)."""


class AdversarialEditor(ImageEditor):
    """A U-Net that a sentence steers, and a discriminator that sees images with sentences.

    DE-Net's training was never published. These losses are RECONSTRUCTED from DF-GAN and GALIP (same first author) and
    from the arguments of DE-Net's training function; the weights are ours. What an edit should give is never looked at,
    and images are neither cropped nor flipped.

    Args:
        config: A validated `Config`.
        context: `GenerationData`, views and floating type.
        parts: What of DE-Net's generator is switched off.
    """

    Config: ClassVar[type[MethodConfig]] = EditorConfig
    config: EditorConfig

    def __init__(self, config: EditorConfig, context: Context, parts: Parts | None = None) -> None:
        super().__init__(config, context)
        self.config = config
        check_halvable("this editor", self.side)
        self.encoder = encoder_of(config, context)
        self.encoders = frozenset({self.encoder.identity})
        width = self.encoder.width
        self.editor = Editor(config.width, width, self.side, parts).to(context.dtype)
        self.discriminator = Discriminator(config.width, width, self.side).to(context.dtype)

    def groups(self) -> Mapping[str, Group]:
        """Returns one optimiser for each player."""
        return players(self.config, self.editor, self.discriminator)

    def steps(self, batch: ImageTextBatch) -> Iterator[tuple[str, Loss]]:
        """Yields the discriminator's loss, then the editor's on the same images and the changed discriminator."""
        images, judge = as_pixels(batch.images, self.editor.first.weight), self.discriminator
        captions = self.encoder.texts(batch.captions)
        given = batch.targets if self.config.targets == "given" else None
        targets = mismatched(captions) if given is None else self.encoder.texts(given)
        edited = self.editor(images, targets)
        real, caption = leaf(images), leaf(captions)
        features = judge.features(real)
        logits = judge(features, caption)
        penalty = matching_penalty(logits, (real, caption), weight=self.config.penalty, power=self.config.penalty_power)
        # Real and made images go through batch normalisation apart: together, each would change the other's logits.
        made = judge(judge.features(edited.detach()), targets)
        yield "discriminator", discriminator_loss(logits, made, judge(features, mismatched(captions)), penalty)
        yield "generator", self.editor_loss(edited, images, captions, targets)

    def editor_loss(self, edited: Tensor, images: Tensor, captions: Tensor, targets: Tensor) -> Loss:
        """Returns −D(y, e') − λ_sim cos(f(y), e') + λ_rec ‖y − x‖² + λ_id ‖G(x, e) − x‖², squares averaged."""
        judge, config = self.discriminator, self.config
        parts = {
            "adversarial": -judge(judge.features(edited), targets).mean(),
            "similarity": functional.cosine_similarity(self.encoder.images(edited), targets).mean(),
            "reconstruction": functional.mse_loss(edited, images),
        }
        total = (
            parts["adversarial"]
            - config.similarity * parts["similarity"]
            + config.reconstruction * parts["reconstruction"]
        )
        if config.identity:
            parts["identity"] = functional.mse_loss(self.editor(images, captions), images)
            total = total + config.identity * parts["identity"]
        return Loss(total, parts)

    def edit(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Returns (B, 3, side, side) changed images in [-1, 1]."""
        edited: Tensor = self.editor(as_pixels(images, self.editor.first.weight), self.encoder.texts(prompts))
        return edited
