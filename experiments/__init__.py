"""The verbs: the only room that knows models and benchmark. Every module is a command, `python -m experiments.NAME`."""
