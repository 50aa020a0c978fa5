"""Choice between generated kernels and plain torch code at run time."""
