"""What `experiments.check` looks at before anything runs: paths, the machine, the tracking server, data and weights."""
