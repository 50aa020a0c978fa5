"""Scaled dot-product attention of all models of a stack."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError, raw

__all__ = ["attend"]


def attend(  # noqa: PLR0917 # torch's
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Any:
    """Compute attention with the examples of all models as those of one, by the kernel that a single model has.

    In half the time of one model after the other, which is how ``torch.vmap`` computes it.

    Args:
        query: per model of shape (n, ..., tokens, dim).
        key: per model of shape (n, ..., others, dim).
        value: per model of shape (n, ..., others, out).
        attn_mask: of one model or of all, which broadcasts to (n, ..., tokens, others).
        dropout_p: 0; otherwise random numbers are drawn where they cannot be told apart by model.
        is_causal: whether a token sees none after it.
        kwargs: further ones of torch.

    Raises:
        StackError: there is dropout.

    Example:
        >>> import torch
        >>> x = StackedTensor(torch.zeros(5, 2, 4, 7, 3))
        >>> attend(x, x, x, is_causal=True).shape
        torch.Size([2, 4, 7, 3])
    """
    if dropout_p:
        raise StackError("dropout inside of scaled_dot_product_attention draws random numbers for all models at once")
    given = [query, key, value]
    if not all(isinstance(it, StackedTensor) for it in given) or len({it.shape[:1] for it in given}) > 1:
        return NotImplemented
    models, dims = len(query.stacked), query.dim()
    options = kwargs | {"is_causal": is_causal}
    if dims < 3:  # one example: the models are the examples
        q, k, v = (it.stacked for it in given)
        return StackedTensor(functional.scaled_dot_product_attention(q, k, v, raw(attn_mask), **options))
    q, k, v = (it.stacked.flatten(0, 1) for it in given)
    mask = _mask_of_all(attn_mask, models, len(query), dims)
    y = functional.scaled_dot_product_attention(q, k, v, mask, **options)
    return StackedTensor(y.view(models, -1, *y.shape[1:]))


def _mask_of_all(mask: Any, models: int, examples: int, dims: int) -> Tensor | None:
    """Return a mask that broadcasts to the examples of all models, shape (models * examples, ..., tokens, others)."""
    if isinstance(mask, StackedTensor):
        stacked = mask.stacked
        each = stacked.reshape(models, *[1] * (dims + 1 - stacked.dim()), *stacked.shape[1:])
    elif mask is None or mask.dim() < dims or len(mask) == 1:
        return mask  # type: ignore[no-any-return] # a tensor
    else:
        each = mask.expand(models, *mask.shape)
    return each.expand(models, examples, *each.shape[2:]).flatten(0, 1)
