"""How anything is said to people: secrets masked, other people's text harmless wherever it is printed."""
