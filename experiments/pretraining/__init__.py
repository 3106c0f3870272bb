"""How the foundation models of `mini` are pretrained, and how good they are."""
