"""Tasks whose metrics say how far the answers of a trained net can be relied on."""
