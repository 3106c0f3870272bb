"""How the small foundation models are pretrained, and how good they are."""
