"""Refusal of models on the meta device, whose tensors have shapes and no values."""

from __future__ import annotations

from torch import nn

from actlab.errors import SiteError

__all__ = ["check_has_values"]


def check_has_values(model: nn.Module, what: str) -> None:
    """Raise if a parameter or buffer of a model is on the meta device.

    Args:
        model: any module.
        what: what needs values, with its verb, as the beginning of the message.

    Raises:
        SiteError: it is.

    Example:
        >>> check_has_values(nn.Linear(2, 2, device="meta"), "propagation measures values")
        Traceback (most recent call last):
        actlab.errors.SiteError: propagation measures values, and 'weight' is on the meta device, where tensors have no values. ...
    """
    name = next((name for name, held in (*model.named_parameters(), *model.named_buffers()) if held.is_meta), None)
    if name is not None:
        raise SiteError(
            f"{what}, and {name!r} is on the meta device, where tensors have no values. Build the model on a device, or call "
            "model.to_empty(device=...) and set its weights, and try again."
        )
