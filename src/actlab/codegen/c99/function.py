"""C99 functions of specs: one number in, one number out, in float32."""

from __future__ import annotations

from dataclasses import dataclass

from actlab.functions.activation import Activation
from actlab.functions.spec import Spec

__all__ = ["CFunction", "c_function"]


@dataclass(frozen=True, kw_only=True)
class CFunction:
    """A C99 function ``static float NAME(float x)``, gated ``static float NAME(float gate, float value)``.

    Attributes:
        name: of the function.
        inputs: names of the inputs: ``("x",)`` or ``("gate", "value")``.
        parameters: names of the learned parameters, further ``float`` arguments after the inputs, in the order of the record; the caller
            passes the number of the layer or of the channel.
        source: text of the function, one definition that ends in a line break.
        needs: names of the elementary functions it calls, for :func:`~actlab.codegen.c99.elementary.elementary_source`.
    """

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    source: str
    needs: frozenset[str]


def c_function(spec: Spec | Activation, name: str) -> CFunction:
    """Return the forward pass of an elementwise, gated or stochastic activation as a C99 function; a stochastic one becomes its mean.

    Args:
        spec: the function, or a record of the catalogue, which stands for its defaults; a gradient rule has no part in the forward pass.
        name: of the C function.

    Raises:
        ExportError: the activation cannot be printed, with the reason, or the name is no C identifier.
    """
    raise NotImplementedError
