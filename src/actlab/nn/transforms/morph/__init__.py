"""From one activation to another without losing what was trained."""
