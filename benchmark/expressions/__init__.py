"""The writer of unambiguous referring expressions: of one region, of several, of none."""
