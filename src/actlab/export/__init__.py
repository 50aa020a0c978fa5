"""What leaves the lab."""
