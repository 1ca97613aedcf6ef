"""What stops a login at a terminal."""


class LoginError(Exception):
    """The person at the terminal must do something. The message says what, and holds no token."""


class LoginEnded(LoginError):  # noqa: N818  # named after what happened
    """Nobody is logged in, or not any more: a new login is all that helps."""
