"""How a call on the admin socket fails."""


class AdminError(Exception):
    """A call that failed: `code` for programs, `message` for people. Both go over the socket.

    Codes of the socket itself: `bad_request`, `too_large`, `unknown_method`, `busy`, `timeout`, `fault`, and at the
    client `unavailable` and `bad_answer`. Handlers raise their own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
