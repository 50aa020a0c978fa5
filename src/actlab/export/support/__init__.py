"""Targets of deployment as tables of what they run, and what takes the place of the rest."""
