"""What an activation does in a model: layer, sites, swap, init."""
