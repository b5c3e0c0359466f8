"""A process that is killed before one of its changes of a folder."""


class Killed(BaseException):
    """What no code catches."""


def stopping(function, steps, moment):
    """The function, killed where the next of the steps is a moment or later."""

    def call(*args, **settings):
        if next(steps) >= moment:
            raise Killed
        return function(*args, **settings)

    return call
