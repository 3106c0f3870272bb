"""The data and the foundation weights of the tests of training."""

from tests.experiments.training.conftest import dataset, weights

__all__ = ["dataset", "weights"]
