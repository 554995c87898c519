"""Inception-v3 as torchvision builds it, without its auxiliary head, from a local file of weights.

Architecture: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, with the layer names
of torchvision and timm, so that `model.safetensors` of timm's `inception_v3.tv_in1k` loads as it is. Nothing is
downloaded and no pickle is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn import functional

from bench.data.checkpoints import INCEPTION_VARIABLE, INCEPTION_WAY, inception_file
from bench.encoders.features import FeatureNetwork, resized
from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = INCEPTION_VARIABLE
"""Environment variable with the path of the weights."""
SIDE = 299
WIDTH, CLASSES = 2048, 1000
_IGNORED = ("AuxLogits.",)
Size = int | tuple[int, int]


class _Conv(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(values)))


def _pooled(values: Tensor) -> Tensor:
    return functional.avg_pool2d(values, 3, 1, 1)


class _MixedA(nn.Module):
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(inputs, 48, 1), _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, values: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(values)))
        five = self.branch5x5_2(self.branch5x5_1(values))
        return torch.cat([self.branch1x1(values), five, double, self.branch_pool(_pooled(values))], 1)


class _MixedB(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, values: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(values)))
        return torch.cat([self.branch3x3(values), double, functional.max_pool2d(values, 3, 2)], 1)


class _MixedC(nn.Module):
    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        flat, tall = {"padding": (0, 3)}, {"padding": (3, 0)}
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1 = _Conv(inputs, inner, 1)
        self.branch7x7_2 = _Conv(inner, inner, (1, 7), **flat)  # type: ignore[arg-type]
        self.branch7x7_3 = _Conv(inner, 192, (7, 1), **tall)  # type: ignore[arg-type]
        self.branch7x7dbl_1 = _Conv(inputs, inner, 1)
        self.branch7x7dbl_2 = _Conv(inner, inner, (7, 1), **tall)  # type: ignore[arg-type]
        self.branch7x7dbl_3 = _Conv(inner, inner, (1, 7), **flat)  # type: ignore[arg-type]
        self.branch7x7dbl_4 = _Conv(inner, inner, (7, 1), **tall)  # type: ignore[arg-type]
        self.branch7x7dbl_5 = _Conv(inner, 192, (1, 7), **flat)  # type: ignore[arg-type]
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, values: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(values)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(values)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(values), seven, double, self.branch_pool(_pooled(values))], 1)


class _MixedD(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(inputs, 192, 1), _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, values: Tensor) -> Tensor:
        seven = self.branch7x7x3_2(self.branch7x7x3_1(values))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(seven))
        three = self.branch3x3_2(self.branch3x3_1(values))
        return torch.cat([three, seven, functional.max_pool2d(values, 3, 2)], 1)


class _MixedE(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1x1, self.branch3x3_1 = _Conv(inputs, 320, 1), _Conv(inputs, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 448, 1), _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, values: Tensor) -> Tensor:
        three = self.branch3x3_1(values)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(values))
        parts: Sequence[Tensor] = [
            self.branch1x1(values),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(_pooled(values)),
        ]
        return torch.cat(list(parts), 1)


class Inception(FeatureNetwork):
    """Inception-v3 with its pooled features; images are resized to 299 px and stay in [-1, 1], as it was trained."""

    def __init__(self) -> None:
        super().__init__("inception", WIDTH)
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _MixedA(192, 32), _MixedA(256, 64), _MixedA(288, 64)
        self.Mixed_6a = _MixedB(288)
        self.Mixed_6b, self.Mixed_6c = _MixedC(768, 128), _MixedC(768, 160)
        self.Mixed_6d, self.Mixed_6e = _MixedC(768, 160), _MixedC(768, 192)
        self.Mixed_7a = _MixedD(768)
        self.Mixed_7b, self.Mixed_7c = _MixedE(1280), _MixedE(2048)
        self.fc = nn.Linear(WIDTH, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """Returns (B, 2048) pooled features."""
        values = resized(images, SIDE)
        values = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(values)))
        values = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(values, 3, 2)))
        values = functional.max_pool2d(values, 3, 2)
        for block in (
            self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d,
            self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c,
        ):  # fmt: skip
            values = block(values)
        return functional.adaptive_avg_pool2d(values, 1).flatten(1)

    def logits(self, images: Tensor) -> Tensor:
        """Returns (B, 1000) logits over ImageNet classes."""
        found: Tensor = self.fc(self.features(images))
        return found


def load_inception() -> Inception:
    """Returns Inception-v3 with the weights of the file that `$BENCH_INCEPTION` names.

    Raises:
        UserError: The variable is not set, or the file is missing, damaged or of another network.
    """
    path, way = inception_file(), INCEPTION_WAY
    try:
        state = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(f"feature network 'inception': cannot read {str(path)!r}: {error}.", hint=way) from error
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_IGNORED)}
    network = Inception()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"{path} does not hold the weights of Inception-v3: {reason}", hint=way) from error
    return network.requires_grad_(False).eval()
