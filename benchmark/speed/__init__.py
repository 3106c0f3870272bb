"""Stopwatches for pytest-benchmark, and the plain way that experiments/bench.py measures ours against."""
