"""Published trainings are run by tests, in processes of their own, and not imported by pytest."""

collect_ignore = ["trainings"]
