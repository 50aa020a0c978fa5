"""Tasks on how activations keep a net able to learn, and on how long it takes to generalise."""
