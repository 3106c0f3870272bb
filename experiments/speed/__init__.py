"""What `python -m experiments.bench` measures: a file for each kind of work, side by side with the plain way."""
