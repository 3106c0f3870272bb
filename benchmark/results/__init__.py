"""What a run leaves: result.json and its tables, provenance, the samples that are shown, pictures of predictions."""
