"""What a training needs, as the tests of training make it."""

from tests.experiments.training.conftest import dataset, weights

__all__ = ["dataset", "weights"]
