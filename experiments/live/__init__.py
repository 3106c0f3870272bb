"""The curve of a training in MLflow while it runs."""
