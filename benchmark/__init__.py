"""What is measured: samples, expressions, metrics, evaluator. Knows no model: it takes anything with ``predict()``."""
