"""Tasks of time series, split by time."""
