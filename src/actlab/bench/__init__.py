"""Speed, cost and accuracy of one function."""
