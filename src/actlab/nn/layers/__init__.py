"""``nn.Module`` layers for activations, gradient rules, binary weights, blending and saved memory."""
