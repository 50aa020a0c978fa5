"""What is said, without a medium: sentences, formatted numbers, series."""
