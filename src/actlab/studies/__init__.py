"""How activations compare: plan, trial, store, race, verdict."""
