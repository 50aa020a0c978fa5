"""Tensor of one tensor per model, for which torch functions run for all models at once.

It looks like the tensor of a single model to the code that runs it: shape and size are those of one model. A function with a stacked
form (:mod:`actlab.studies.stacked.stacked_functions`) runs that; every other one runs under :func:`torch.vmap`, function by function,
because ``vmap`` over a whole forward pass costs several times as much for small nets. What ``vmap`` refuses is refused: control flow that
depends on values, and random numbers that are not drawn per model (:mod:`actlab.studies.stacked.random_draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from actlab.studies.stacked.compiled.layer_chain import LayerChain, StackedActivation, StackedLinear

__all__ = ["RULES", "StackError", "StackedTensor", "raw", "through_vmap", "vmapped"]

#: Stacked forms by torch function; each returns NotImplemented for arguments that it does not take.
RULES: Final[dict[Any, Callable[..., Any]]] = {}


class StackError(Exception):
    """Something cannot be computed for several models at once; the message says what."""


class StackedTensor(Tensor):
    """One tensor per model.

    Args:
        stacked: the tensors of all models, stacked in dimension 0, shape (models, ...), or the layers that give them. Only this tensor
            takes part in autograd.

    Example:
        >>> x = StackedTensor(torch.ones(8, 3, 2))  # of 8 models
        >>> x.shape, (x + 1).sum().stacked.shape
        (torch.Size([3, 2]), torch.Size([8]))
    """

    #: Of a weight, the layer that it was last used in.
    linear: StackedLinear | None = None
    _chain: LayerChain | None  # layers that give the numbers; None where they are computed
    _stacked: Tensor

    @staticmethod
    def __new__(cls, stacked: Tensor | LayerChain) -> StackedTensor:
        """Return a new one."""
        like = stacked.x if isinstance(stacked, LayerChain) else stacked
        new: StackedTensor = torch.Tensor._make_wrapper_subclass(
            cls, stacked.shape[1:], dtype=like.dtype, device=like.device
        )
        if isinstance(stacked, LayerChain):
            new._chain = stacked
        else:
            new._chain, new._stacked = None, stacked
        return new

    def __init__(self, stacked: Tensor | LayerChain) -> None:
        pass

    @property
    def stacked(self) -> Tensor:
        """The tensors of all models, computed now where layers are still to be applied.

        Raises:
            StackError: a tensor was changed in place after a layer had taken it.
        """
        if self._chain is not None:
            if not self._chain.is_current:
                raise StackError("a tensor is changed in place after a layer has taken it")
            self._stacked, self._chain = self._chain.computed(), None
        return self._stacked

    def through(self, layer: StackedLinear | StackedActivation) -> StackedTensor | None:
        """Return the output of a layer, which is computed later with those behind it; None where the layer is to be computed by itself."""
        if self._chain is not None:
            chain = self._chain.then(layer)
        else:
            chain = LayerChain.begun(self._stacked, layer) if isinstance(layer, StackedLinear) else None
        return None if chain is None else StackedTensor(chain)

    def __repr__(self) -> str:  # type: ignore[override] # torch's takes a keyword
        return f"StackedTensor({len(self.stacked)} x {tuple(self.stacked.shape[1:])})"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        rule = RULES.get(func)
        if rule is not None:
            result = rule(*args, **options)
            if result is not NotImplemented:
                return result
        return through_vmap(func, args, options)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # arguments that cannot be changed
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Refuse what reaches torch without passing through its functions, such as a compiled extension."""
        raise StackError(f"{func} was called on a tensor of several models")


def raw(value: Any) -> Any:
    """Return the stacked tensors of a stacked tensor, and anything else as it is."""
    return value.stacked if isinstance(value, StackedTensor) else value


def vmapped(function: Callable[..., Any], *args: Any) -> Any:
    """Return what ``torch.vmap(function)`` gives, without its warnings of functions that it runs model by model.

    Whether a stack is faster than single trials is measured, so that such a warning says nothing that a user could act on.

    Example:
        >>> vmapped(torch.dot, torch.ones(3, 2), torch.ones(3, 2))
        tensor([2., 2., 2.])
    """
    torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined] # torch leaves it out
    try:
        return torch.vmap(function)(*args)
    finally:  # torch does not tell how it was; this is its default
        torch._C._functorch._set_vmap_fallback_warning_enabled(True)  # type: ignore[attr-defined]


def through_vmap(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run a torch function for all models by ``torch.vmap``.

    Raises:
        RuntimeError: ``vmap`` does not take it, such as ``item()`` or a random number.

    Example:
        >>> x = StackedTensor(torch.arange(6.0).view(2, 3))
        >>> through_vmap(torch.cumsum, (x,), {"dim": 0}).stacked
        tensor([[ 0.,  1.,  3.],
                [ 3.,  7., 12.]])
    """
    leaves, form = pytree.tree_flatten((args, dict(kwargs)))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, StackedTensor)]
    beside: list[Any] = []  # what the function returns, without the tensors

    def one_model(*tensors: Tensor) -> list[Tensor]:
        given = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        own_args, own_kwargs = pytree.tree_unflatten(given, form)
        results, result_form = pytree.tree_flatten(func(*own_args, **own_kwargs))
        beside[:] = [result_form, [None if isinstance(it, Tensor) else it for it in results]]
        # vmap returns tensors only, and at least one
        return [*(it for it in results if isinstance(it, Tensor)), tensors[0]]

    computed = vmapped(one_model, *(leaves[place].stacked for place in places))
    tensors = iter(computed)
    result_form, others = beside
    return pytree.tree_unflatten([StackedTensor(next(tensors)) if it is None else it for it in others], result_form)
