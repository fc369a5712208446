"""The errors that a user can act on. The command line prints them as one paragraph and exits with 2."""


class GanrayError(Exception):
    """Base of every error whose text names what is wrong, where, and how to fix it."""


class RecipeError(GanrayError):
    """A recipe or experiment file is invalid."""


class DataError(GanrayError):
    """The images cannot be used as they are."""


class WeightsError(GanrayError):
    """Weights of an extractor or a checkpoint are missing, damaged or of the wrong kind."""


class StoreError(GanrayError):
    """The results store cannot be read or written."""


class ClusterError(GanrayError):
    """The Ray cluster cannot run what was asked."""


class TrainingError(GanrayError):
    """A trial cannot go on; the message is its diagnosis."""
