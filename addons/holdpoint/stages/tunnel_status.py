"""How a command ended: what the server says of it on the error stream, and what the gateway says in its place.

The error stream of exec and attach carries one `metav1.Status` as JSON (k8s.io/apimachinery/pkg/util/remotecommand,
since v4). A command that ended with another code than 0 is a Failure with the reason NonZeroExitCode and the code among
the causes; kubectl prints the message of any other Failure.
"""

import json
from typing import Final

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable

MOST: Final = 64 << 10
"""Bytes of a Status that are read."""
_REASONS: Final = {
    RefusalKind.UNAUTHENTICATED: "Unauthorized",
    RefusalKind.DENIED: "Forbidden",
    RefusalKind.EXPIRED: "Expired",
    RefusalKind.BAD_REQUEST: "BadRequest",
    RefusalKind.UNAVAILABLE: "ServiceUnavailable",
}


class ExitStatus:
    """Gathers what the error stream says."""

    def __init__(self) -> None:
        self._said = bytearray()

    @property
    def is_known(self) -> bool:
        """Whether the server has said anything of the end."""
        return bool(self._said)

    def add(self, data: bytes) -> None:
        """Take in a piece."""
        self._said += data[: MOST - len(self._said)]

    def code(self) -> int | None:
        """Return the exit code. None where it was not said."""
        try:
            status = as_object(strict_json.loads(bytes(self._said), max_bytes=MOST))
        except Undecodable:
            return None
        if status.get("status") == "Success":
            return 0
        causes = as_object(status.get("details")).get("causes")
        if status.get("reason") != "NonZeroExitCode" or not isinstance(causes, list):
            return None
        codes = [as_text(c.get("message")) for c in causes if isinstance(c, dict) and c.get("reason") == "ExitCode"]
        return int(codes[0]) if len(codes) == 1 and codes[0].isascii() and codes[0].isdecimal() else None


def status_of(refusal: Refusal, refusal_id: str) -> bytes:
    """Return a refusal as the Status of a stream that the gateway ends."""
    status: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"holdpoint: {refusal.public} ({refusal_id})",
        "reason": _REASONS.get(refusal.kind, "InternalError"),
        "details": {"causes": [{"reason": f"Holdpoint/{refusal.kind.value}", "message": refusal_id}]},
        "code": refusal.status,
    }
    return json.dumps(status).encode()
