"""Why there is no preview."""

from holdpoint.domain.values import JsonObject


class NotTried(Exception):  # noqa: N818  # named after what it is, as Refusal
    """Nothing of the kind can be tried: the text says why, for reviewers."""


class Trouble(Exception):  # noqa: N818  # as above
    """It could not be found out: whether the request would pass is as unknown as before. The text says why."""


class Rejected(Exception):  # noqa: N818  # as above
    """The API server refuses the request that was tried, or knows no such object. The text names the status."""

    def __init__(self, why: str, *, status: int, said: JsonObject | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.said: JsonObject = said or {}
        """The answer's document. It may quote values: mask it before anybody sees it."""
