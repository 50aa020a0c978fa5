"""Source of methods as syntax trees."""
