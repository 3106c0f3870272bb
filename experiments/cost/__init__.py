"""What a model costs: parameters, FLOPs and memory from shapes alone, or measured on random weights."""
