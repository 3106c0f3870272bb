"""LAVT (Yang et al., CVPR 2022, arXiv:2112.02244): language enters a Swin after each of its stages."""
