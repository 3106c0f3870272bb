"""The local page of experiments.demo."""
