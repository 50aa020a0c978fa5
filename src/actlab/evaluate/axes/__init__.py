"""Built-in axes, registered on import."""

from actlab.evaluate.axes import calibration, churn
from actlab.evaluate.axis_registry import register_axis

for _axis in (calibration.CALIBRATION, churn.CHURN):
    register_axis(_axis)
