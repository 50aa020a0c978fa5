"""Tasks of recognition from the signals of sensors."""
