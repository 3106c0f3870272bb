"""What frozen encoders make of images and texts, kept: computed once, read from then on."""
