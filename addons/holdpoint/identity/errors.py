"""What stops a login at a terminal."""


class LoginError(Exception):
    """The person at the terminal must do something. The message says what, and holds no token."""
