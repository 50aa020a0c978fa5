"""Tasks with the nets of the MLPerf Tiny benchmark, on images in the shapes of its inputs."""
