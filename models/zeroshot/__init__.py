"""Published networks that segment what a text names, as they are: baselines without training on this task's data."""
