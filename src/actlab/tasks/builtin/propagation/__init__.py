"""Tasks on what activations do to signal, gradient and units of deep MLPs."""
