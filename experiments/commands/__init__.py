"""What the commands do, a module each: experiments/NAME.py imports its own once its options are read."""
