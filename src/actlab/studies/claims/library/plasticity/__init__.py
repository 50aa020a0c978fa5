"""Claims on plasticity and on the time to generalise."""
