"""Statistics of published summaries, from means, standard deviations and run counts alone."""
