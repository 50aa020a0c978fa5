"""Built-in axes, registered on import."""

from actlab.evaluate.axes import adversarial, calibration, churn, compression, dynamics, groups, out_of_distribution
from actlab.evaluate.axis_registry import register_axis

for _axis in (
    calibration.CALIBRATION,
    churn.CHURN,
    out_of_distribution.OUT_OF_DISTRIBUTION,
    adversarial.ADVERSARIAL,
    groups.GROUPS,
    compression.COMPRESSION,
    dynamics.DYNAMICS,
    dynamics.PLASTICITY,
):
    register_axis(_axis)
