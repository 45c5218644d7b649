"""What the commands of an installation can fail with: one line that says what to do."""


class CommandError(Exception):
    """Expected; shown as it is, without a traceback."""


class DataDirError(CommandError):
    """The data directory cannot be used."""


class ListenError(CommandError):
    """The address cannot be listened on."""


class StartError(CommandError):
    """Sandgate did not come up."""


class FirstRunError(CommandError):
    """The first start could not finish; starting again repeats it."""
