"""What can go wrong with one sandbox before it is in service."""


class EndedError(Exception):
    """The sandbox ended while something was expected of it."""


class LaunchFailedError(Exception):
    """No blank came of it; the text says why."""


class BlankLostError(Exception):
    """The blank was gone before it took the code; another one may be tried."""


class MisfitError(BlankLostError):
    """The blank could not be given the limits it should have; one launched with them may be."""
