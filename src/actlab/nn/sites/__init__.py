"""Which activation runs where."""
