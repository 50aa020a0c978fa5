"""Code generation from symbolic formulas, for PyTorch, CPU, GPU, LaTeX and MathML."""
