"""Tables of activations between two tensors of 8-bit codes."""

from actlab.codegen.int8.table import int8_table

__all__ = ["int8_table"]
