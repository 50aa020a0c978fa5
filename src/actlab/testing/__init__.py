"""Public conformance checks of activations, gradient rules and axes, and tolerances, for use in tests."""

from actlab.testing.activation_checks import CHECKS, reason_to_skip
from actlab.testing.axis_checks import AXIS_CHECKS
from actlab.testing.reference import TOLERANCE
from actlab.testing.rule_checks import RULE_CHECKS

__all__ = ["AXIS_CHECKS", "CHECKS", "RULE_CHECKS", "TOLERANCE", "reason_to_skip"]
