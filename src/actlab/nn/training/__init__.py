"""Training recipe, early stopping, clipping and schedules."""
