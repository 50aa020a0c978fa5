"""How a gated input arrives: two tensors, or one with the gate in a half of it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Half = Literal["second", "first", "interleaved"]

Inputs = Tensor | tuple[Tensor, Tensor]
