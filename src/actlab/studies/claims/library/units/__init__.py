"""Claims on signals, gradients and units of deep nets."""
