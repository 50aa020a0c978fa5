"""Public conformance checks of activations and gradient rules, and tolerances, for use in tests."""

from actlab.testing.activation_checks import CHECKS, reason_to_skip
from actlab.testing.reference import TOLERANCE
from actlab.testing.rule_checks import RULE_CHECKS

__all__ = ["CHECKS", "RULE_CHECKS", "TOLERANCE", "reason_to_skip"]
