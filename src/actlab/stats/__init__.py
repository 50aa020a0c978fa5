"""Statistics of paired differences: pure functions of arrays."""
