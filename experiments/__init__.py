"""The commands, `python -m experiments.NAME`, and in folders what several of them share."""
