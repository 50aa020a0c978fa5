"""What is measured of a function."""
