"""Statistics of paired differences, as pure functions of arrays."""
