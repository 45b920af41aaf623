"""What goes wrong with servers of our own."""


class ServerError(RuntimeError):
    """A server could not be started or stopped; the message says what to do."""
