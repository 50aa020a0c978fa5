"""Tasks of differential equations and of signals as functions of coordinates."""
