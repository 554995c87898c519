"""The editor that changes nothing: what every row of image editing has to be read against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.generator import ImageEditor

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.generator import Prompts


class NoEdit(ImageEditor):
    """Returns the source. Its distance to the source is 0, and its similarity is what a caption gets for nothing."""

    closed_form: ClassVar[bool] = True

    def fit(self) -> None:
        """Has nothing to compute."""

    def edit(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Returns the images themselves."""
        return images


METHOD = NoEdit
