"""Why a vote or a spend does not count. Messages are for the reviewer or the log: lower case, no full stop.

`code` is what the admin socket answers.
"""

from holdpoint.domain.approval import ApprovalRequest


class NotFound(Exception):  # noqa: N818  # named after what it means to the one who asked
    """There is no approval request of that id."""

    code = "not_found"


class NotAllowed(Exception):  # noqa: N818  # as above
    """This reviewer may not decide this request. The message says why."""

    code = "not_allowed"


class Changed(NotAllowed):
    """What the reviewer read is not what this request asks for."""

    code = "conflict"


class AlreadyResolved(Exception):  # noqa: N818  # as above
    """The request has ended. `request` says how."""

    code = "already_resolved"

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__(f"request `{request.id}` is already {request.state}")
        self.request = request


class GrantSpent(Exception):  # noqa: N818  # as above
    """The grant was taken for another dispatch: this one must not be sent."""


class GrantVoid(Exception):  # noqa: N818  # as above
    """The grant does not exist, has ended, or does not meet the terms in force."""


class TooManyHeld(Exception):  # noqa: N818  # as above
    """The requester has as many requests pending as one may have."""


class Behind(Exception):  # noqa: N818  # as above
    """Another gateway changed the request first. What it stored was taken over: decide again."""
