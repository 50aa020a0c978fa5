"""Export trained models to formats that run without ActLab."""
