"""RMSIN (Liu et al., CVPR 2024, arXiv:2312.12470): LAVT with three parts for aerial images."""
