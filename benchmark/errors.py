"""What is raised for data at fault."""


class SampleError(ValueError):
    """A dataset that breaks the contract: the message names file, row, value and what to do."""
