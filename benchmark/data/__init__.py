"""The table of samples and what it is made of: images, run-length masks, their checks, batches, files written whole."""
