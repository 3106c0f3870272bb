"""Everyday scenes seen from the side: the corpus on which the foundation models of `mini` are pretrained."""
