"""Instructions, memory and outputs of C99 projects on emulated Cortex-M cores."""

from actlab.export.device.measurement import measure

__all__ = ["measure"]
