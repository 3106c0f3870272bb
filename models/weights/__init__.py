"""Reading weights: weights/<model>/, folders of transformers, official SAM files."""
