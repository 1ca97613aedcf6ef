"""What the query of a request decides, each key once and by value, as the API server's parameter codec reads it."""

import re

from holdpoint.domain.values import JsonObject
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.address import Pairs
from holdpoint.protocols.kubernetes.request_info import flag
from holdpoint.protocols.kubernetes.selectors import BadSelector, parse_fields

REPEATED = {"exec": "command", "portforward": "ports"}
"""Verbs of the gateway's own, and the one key that may stand in their query more than once."""
OF_DELETES = (
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
)
"""DeleteOptions: from the body if there is one, else from the query (apiserver, endpoints/handlers/delete.go)."""
FLAGS = frozenset(
    {
        *("allowWatchBookmarks", "follow", "force", "ignoreStoreReadErrorWithClusterBreakingPotential"),
        *("insecureSkipTLSVerifyBackend", "orphanDependents", "previous", "sendInitialEvents"),
        *("stderr", "stdin", "stdout", "timestamps", "tty", "watch"),
    }
)
NUMBERS = frozenset({"gracePeriodSeconds", "limit", "limitBytes", "sinceSeconds", "tailLines", "timeoutSeconds"})
_SAYS_NOTHING = frozenset({"allowWatchBookmarks", "pretty", "timeout", "timeoutSeconds"})
"""They decide how an answer looks and how long the server tries, and differ between retries of one request."""
_INT64 = re.compile(r"[+-]?[0-9]{1,18}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_KEY = re.compile(r"[!-~]{1,256}")
_LAST_PORT = 65_535


class Query:
    """The query of a request that the API server answers by itself."""

    def __init__(self, pairs: Pairs, *, verb: str) -> None:
        """Read it. `verb` is the action's. Raises Undecodable where a key stands twice, or a value is none of its."""
        self._pairs = pairs
        self._verb = verb
        self._first: dict[str, str] = {}
        repeated = REPEATED.get(verb, "")
        for key, value in pairs:
            if not _KEY.fullmatch(key):
                raise Undecodable("the query holds a key that is none")
            if key in self._first and key != repeated:
                raise Undecodable("the query holds the same key twice")
            # `argv` may hold a script of several lines, and nothing else holds a control character.
            if "\x00" in value or (key != "command" and not value.isprintable()):
                raise Undecodable("the query holds control characters")
            self._first.setdefault(key, value)
        self._check()

    def __contains__(self, key: str) -> bool:
        return key in self._first

    def text(self, key: str) -> str:
        """Return a value; empty where there is none."""
        return self._first.get(key, "")

    def flag(self, key: str) -> bool:
        """Return a boolean."""
        return flag(self._pairs, key)

    @property
    def command(self) -> tuple[str, ...]:
        """`argv`, in order."""
        return tuple(value for key, value in self._pairs if key == "command")

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports of a port-forward, in order. Raises Undecodable."""
        named = [port for key, value in self._pairs if key == "ports" for port in value.split(",")]
        if not all(_PORT.fullmatch(port) and int(port) <= _LAST_PORT for port in named):
            raise Undecodable("`ports` holds what is no port")
        return tuple(int(port) for port in named)

    @property
    def dry_run(self) -> bool:
        """Whether `dryRun=All` is there. It is the one value that `dryRun` has."""
        return "dryRun" in self._first

    def intent(self) -> JsonObject:
        """Return what decides, by key, as values of one spelling."""
        said: JsonObject = {}
        for key, value in sorted(self._first.items()):
            if key in _SAYS_NOTHING:
                continue
            if key == REPEATED.get(self._verb):
                said[key] = [*self.command] if key == "command" else [*self.ports]
            elif key in FLAGS:
                said[key] = self.flag(key)
            elif key in NUMBERS:
                said[key] = int(value)
            else:
                said[key] = value
        return said

    def _check(self) -> None:
        for key, value in self._first.items():
            if key in NUMBERS and not _INT64.fullmatch(value):
                raise Undecodable(f"`{key}` is no number")
            if key in FLAGS and not value.isascii():
                raise Undecodable(f"`{key}` is no boolean")
            if key == "dryRun" and value != "All":
                raise Undecodable("`dryRun` has another value than `All`")
        try:
            parse_fields(self.text("fieldSelector"))
        except BadSelector:
            raise Undecodable("`fieldSelector` is not one the API server understands") from None
