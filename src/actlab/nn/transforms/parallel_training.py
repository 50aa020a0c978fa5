"""Parameters that come into or leave a model after it was wrapped for training on several ranks.

``DistributedDataParallel`` and FSDP take stock of the parameters when they wrap a model. The gradients of later ones are never averaged, so
that the ranks drift apart, silently; a parameter that has gone makes the next step raise. Both are refused: change first, then wrap.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from torch import distributed, nn

from actlab.errors import SiteError

__all__ = ["check_parameters_stay"]


def check_parameters_stay(model: nn.Module, old: Iterable[nn.Module], new: Iterable[nn.Module]) -> None:
    """Refuse to change the parameters of a model that is wrapped already.

    Args:
        model: to be changed; the wrapper itself, a part of what it wraps, or a model that contains wrappers.
        old: modules that leave it.
        new: modules that come into it.

    Raises:
        SiteError: they have other parameters, and the model is wrapped.
    """
    new_modules, old_modules = list(new), list(old)
    known = {id(parameter) for parameter in model.parameters()}
    kept = {id(parameter) for module in new_modules for parameter in module.parameters()}
    added = [name for module in new_modules for name, p in _trained(module) if id(p) not in known]
    gone = [name for module in old_modules for name, p in _trained(module) if id(p) not in kept]
    if not (added or gone):
        return
    wrapper = _wrapper(model)
    if wrapper is None:
        return
    names = ", ".join(dict.fromkeys(added or gone))
    what = "brings new parameters into" if added else "takes parameters out of"
    raise SiteError(
        f"This {what} a model that {wrapper} has wrapped already ({names}); "
        f"{'their gradients would never be averaged, and the ranks would drift apart' if added else 'it waits for their gradients'}. "
        f"Nothing has changed. Change the model first, then wrap it; functions without learned numbers can be put in afterwards, too."
    )


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def _wrapper(model: nn.Module) -> str | None:
    """Return the name of what has wrapped a model, or a part of it, for training on several ranks; None if nothing has."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    kinds = tuple(filter(None, map(_class_if_loaded, _WRAPPERS)))
    parts = {id(module) for module in model.modules()}
    inside = (type(module).__name__ for module in model.modules() if isinstance(module, kinds))
    name = next(inside, None)
    if name is None and any(type(p.data).__name__ == "DTensor" for p in model.parameters()):
        name = "fully_shard or parallelize_module"
    if name is None:  # a model does not know what wraps it
        wrappers = [each for each in gc.get_objects() if issubclass(type(each), kinds)]
        name = next((type(w).__name__ for w in wrappers if any(id(m) in parts for m in w.modules())), None)
    return name


_WRAPPERS = (
    ("torch.nn.parallel.distributed", "DistributedDataParallel"),
    ("torch.distributed.fsdp", "FullyShardedDataParallel"),
    ("torch.distributed.fsdp", "FSDPModule"),
)


def _class_if_loaded(place: tuple[str, str]) -> Any:
    """Return a class of torch if its module was imported; before, nothing can be an instance of it."""
    return getattr(sys.modules.get(place[0]), place[1], None)
