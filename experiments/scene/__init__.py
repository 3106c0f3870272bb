"""Scenes of any size: read and predicted in windows, written as layers for a GIS. Needs the extras `[geo]`."""
