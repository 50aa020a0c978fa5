"""Built-in axes, registered on import."""

from actlab.evaluate.axes import (
    adversarial,
    calibration,
    churn,
    compression,
    cost,
    device,
    dynamics,
    groups,
    int8,
    low_precision,
    out_of_distribution,
    robustness,
    runtime,
)
from actlab.evaluate.axis_registry import register_axis, register_group

for _axis in (
    calibration.CALIBRATION,
    churn.CHURN,
    robustness.ROBUSTNESS,
    out_of_distribution.OUT_OF_DISTRIBUTION,
    adversarial.ADVERSARIAL,
    groups.GROUPS,
    cost.COST,
    compression.COMPRESSION,
    dynamics.DYNAMICS,
    dynamics.PLASTICITY,
    low_precision.LOW_PRECISION,
    runtime.RUNTIME,
    device.DEVICE,
    int8.INT8,
):
    register_axis(_axis)
register_group("device", device.device_axes)
