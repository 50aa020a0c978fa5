"""Claims of the literature as plans with a pass rule that is written before the run."""
