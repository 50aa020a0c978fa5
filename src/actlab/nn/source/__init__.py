"""Source code of Python methods as syntax trees, its compilation, and decorators of methods."""
