"""The contract of methods that predict a user's next item."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from bench.methods.base import Adapter, Method

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.sequential import SequenceData
    from bench.methods.base import Context
    from bench.spec.config import MethodConfig

PADDING = 0
"""Token of an empty place; item i has token i + 1."""
MAX_LENGTH = 50
"""Items of a history that a method is shown at most, in training and in scoring; the newest ones."""


class SequenceBatch(NamedTuple):
    """Training sequences, left-padded: the newest item is in the last place.

    Attributes:
        inputs: (B, L) int64 tokens, `PADDING` or item + 1.
        targets: (B, L) int64 the token that follows each place; `PADDING` where nothing is to be predicted.
        negatives: (B, L) int64 a token the user never took in training, beside every target; `PADDING` elsewhere.
    """

    inputs: Tensor
    targets: Tensor
    negatives: Tensor


class SequentialRecommender(Method):
    """A method that ranks all items as the next one after a history (task `sequential`).

    Args:
        config: A validated `Config`.
        context: `SequenceData`, views and floating type.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"sequential"})

    def __init__(self, config: MethodConfig, context: Context) -> None:
        super().__init__(config, context)
        self.data: SequenceData = context.data
        self.n_items = self.data.n_items

    def score(self, histories: Tensor) -> Tensor:
        """Scores all items as the next one.

        Args:
            histories: (n, L) int64 tokens, left-padded as in `SequenceBatch.inputs`.

        Returns:
            (n, items) scores; larger is better. Nothing is masked.
        """
        raise TypeError(f"{type(self).__name__} must override score")


class SequentialAdapter(Adapter, SequentialRecommender):
    """An adapter around a `SequentialRecommender`."""

    wrapped: SequentialRecommender

    def score(self, histories: Tensor) -> Tensor:
        """Returns the wrapped method's (n, items) scores."""
        return self.wrapped.score(histories)
