"""Drawn imagery: aerial scenes, which are a dataset, and everyday scenes, on which `mini` is pretrained; one brush."""
