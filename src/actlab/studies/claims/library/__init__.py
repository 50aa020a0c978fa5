"""Claims that ship with ActLab, a file for each, by topic."""
