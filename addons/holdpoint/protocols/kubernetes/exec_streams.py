"""Streams of exec and attach over SPDY, named by the header `streamType` (k8s.io/api/core/v1)."""

from collections.abc import Mapping

from holdpoint.protocols.kubernetes.frames import BadTunnel, Side

_KNOWN = frozenset({"error", "stdin", "stdout", "stderr", "resize"})
_OF_CLIENT = frozenset({"stdin", "resize"})


class ExecStreams:
    """Each type once. stdin only where the request asked for it: the kubelet would take it unasked."""

    def __init__(self, *, stdin: bool) -> None:
        """`stdin` is what the request asked for, and what was decided on."""
        self._allowed = _KNOWN if stdin else _KNOWN - {"stdin"}
        self._seen: set[str] = set()

    def open(self, headers: Mapping[str, str]) -> str:
        """See Naming."""
        if set(headers) != {"streamtype"}:
            raise BadTunnel("a stream needs the header streamType, and nothing else")
        name = headers["streamtype"]
        if name not in self._allowed:
            raise BadTunnel("a stream is of an unknown type, or was not asked for")
        if name in self._seen:
            raise BadTunnel("a second stream of one type")
        self._seen.add(name)
        return name

    def close(self, headers: Mapping[str, str]) -> None:
        """See Naming. A type stays used."""

    def may_write(self, side: Side, name: str) -> bool:
        """See Naming."""
        return (side is Side.CLIENT) == (name in _OF_CLIENT)
