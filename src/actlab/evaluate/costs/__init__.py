"""Time, operations, memory traffic and energy of models."""
