"""Methods that stand on a frozen checkpoint, whose weights are not kept among theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class FrozenLeftOut(nn.Module):
    """Leaves weights that training never changes out of `state_dict`, and loads strictly without them.

    For methods in which nothing is frozen but what a checkpoint gives, and gives again when the method is built anew.
    Takes its place before `Method` among the bases.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_load_state_dict_pre_hook(_keep_frozen)

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Returns the weights; frozen ones are left out."""
        state = super().state_dict(*args, **options)
        prefix = options.get("prefix", "")
        for name in frozen_names(self):
            state.pop(f"{prefix}{name}", None)
        return state


def frozen_names(method: nn.Module) -> list[str]:
    """Returns the names of weights that training leaves as they are."""
    return [name for name, weight in method.named_parameters() if not weight.requires_grad]


def _keep_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    weights = dict(module.named_parameters())
    for name in frozen_names(module):
        state[f"{prefix}{name}"] = weights[name].detach()
