"""PyTorch implementations of activations that have no elementwise formula."""
