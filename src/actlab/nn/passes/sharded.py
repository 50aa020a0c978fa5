"""Detection and resharding of fully sharded models (FSDP1 and FSDP2).

They exchange their parameters during a pass, and keep their own record of it. A pass without gradients is possible at any time, as a
validation pass is; one with gradients outside the training loop leaves that record out of step with the parameters.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from torch import nn

from actlab.errors import SiteError

__all__ = ["check_not_sharded", "is_fully_sharded", "parts_of_fsdp1", "reshard"]


def _fsdp() -> Any:
    """Return torch's module of FSDP; None where it was never imported, so that nothing is sharded."""
    return sys.modules.get("torch.distributed.fsdp")


def is_fully_sharded(model: nn.Module) -> bool:
    """Whether a part of a model is fully sharded.

    Example:
        >>> is_fully_sharded(nn.Linear(1, 1))
        False
    """
    fsdp = _fsdp()
    kinds = () if fsdp is None else (fsdp.FullyShardedDataParallel, fsdp.FSDPModule)
    return any(isinstance(module, kinds) for module in model.modules())


def check_not_sharded(model: nn.Module, what: str) -> None:
    """Refuse what a fully sharded model does not allow for.

    Args:
        model: any module.
        what: the operation, as the subject of a sentence: "A pass with gradients".

    Raises:
        SiteError: the model is fully sharded.
    """
    if is_fully_sharded(model):
        raise SiteError(
            f"{what} is not possible on a fully sharded model (FSDP, fully_shard), whose parameters are in pieces outside its training "
            "loop; nothing was run and nothing has changed. Do it before the model is sharded. A pass without gradients, as find and a "
            "probe without a loss make, is possible afterwards too."
        )


def reshard(model: nn.Module) -> None:
    """Let FSDP2 put the sharded parameters back into every module that it manages."""
    fsdp = _fsdp()
    if fsdp is not None:
        for module in model.modules():
            if isinstance(module, fsdp.FSDPModule):
                module.reshard()


def parts_of_fsdp1(model: nn.Module) -> dict[int, Literal["wrapper", "wrapped"]]:
    """Return the modules whose parameters FSDP1 exchanges, by ``id``: its wrappers, and all modules inside one."""
    fsdp = _fsdp()
    parts: dict[int, Literal["wrapper", "wrapped"]] = {}
    if fsdp is not None:
        wrappers = [module for module in model.modules() if isinstance(module, fsdp.FullyShardedDataParallel)]
        parts |= {id(part): "wrapped" for wrapper in wrappers for part in wrapper.modules()}
        parts |= {id(wrapper): "wrapper" for wrapper in wrappers}
    return parts
