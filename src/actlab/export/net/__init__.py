"""Description of a trained net as layers with static shapes, read from a model and shared by targets."""
