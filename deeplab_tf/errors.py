"""The one error that a user's mistake raises; a command prints it as one line."""


class InputError(ValueError):
    """What was given, in which file or flag, and what would do."""

    exit_code = 1


class FlagError(InputError):
    """A command line that cannot be meant."""

    exit_code = 2
