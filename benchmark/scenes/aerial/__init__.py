"""Aerial scenes seen from above: the images of the dataset `synthetic`."""
