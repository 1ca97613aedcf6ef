"""How a command ended: what the server says of it on the error stream, and what the gateway says in its place.

The error stream of exec and attach carries one `metav1.Status` as JSON (k8s.io/apimachinery/pkg/util/remotecommand,
since v4). A command that ended with another code than 0 is a Failure with the reason NonZeroExitCode and the code among
the causes; kubectl prints the message of any other Failure.
"""

from typing import Final

from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import as_object, as_text
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import status

MOST: Final = 64 << 10
"""Bytes of a Status that are read."""


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
            said = as_object(strict_json.loads(bytes(self._said), max_bytes=MOST))
        except Undecodable:
            return None
        if said.get("status") == "Success":
            return 0
        causes = as_object(said.get("details")).get("causes")
        if said.get("reason") != "NonZeroExitCode" or not isinstance(causes, list):
            return None
        codes = [as_text(c.get("message")) for c in causes if isinstance(c, dict) and c.get("reason") == "ExitCode"]
        return int(codes[0]) if len(codes) == 1 and codes[0].isascii() and codes[0].isdecimal() else None


def status_of(refusal: Refusal, refusal_id: str) -> bytes:
    """Return a refusal as the Status of a stream that the gateway ends."""
    return strict_json.dumps(status.document(refusal, refusal_id=refusal_id))
