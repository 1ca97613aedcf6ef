"""What a target is to OAuth clients: a protected resource with a URI, a metadata document and challenges.

RFC 9728 (metadata), RFC 8707 (the URI as audience), RFC 6750 section 3 and the MCP specification, "Authorization"
(challenges). Pure: settings in, texts out.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdpoint.domain.values import JsonObject

WELL_KNOWN = "/.well-known/oauth-protected-resource"
"""RFC 9728 section 3."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""`scope-token` of RFC 6749 section 3.3: it needs no escape in a quoted string."""
_NOT_QUOTABLE = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")
NO_RESOURCE_NEEDS = frozenset({"offline_access"})
"""Scopes that are between client and issuer, and that no resource asks for (MCP, "Refresh Tokens")."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One target as it is reached by one road: its canonical URI (RFC 8707 section 2) and what follows from it."""

    origin: str
    """Scheme, host and port, lower case, the port only where it is not the scheme's own."""
    path: str
    """Without a trailing slash; empty for the whole origin."""
    other_origin: str = ""
    """Another name of the very same place, such as `localhost` for a loopback address."""

    @property
    def uri(self) -> str:
        """The canonical URI: what clients ask tokens for."""
        return self.origin + self.path

    @property
    def metadata_url(self) -> str:
        """Where the metadata document is (RFC 9728 section 3.1: the well-known part stands before the path)."""
        return self.origin + WELL_KNOWN + self.path

    @property
    def audiences(self) -> frozenset[str]:
        """Every spelling of the URI that a token may have in `aud`.

        Without a path the URI may have its slash: clients that normalise URLs add it (RFC 3986 section 6.2.3).
        """
        origins = {self.origin, self.other_origin} - {""}
        ends = {self.path} if self.path else {"", "/"}
        return frozenset(origin + end for origin in origins for end in ends)


def is_metadata_path(path: str) -> bool:
    """Tell whether a request target is for protected resource metadata, of whichever resource."""
    return path == WELL_KNOWN or path.startswith((f"{WELL_KNOWN}/", f"{WELL_KNOWN}?"))


def document(resource: Resource, *, name: str, issuers: Sequence[str], scopes: Iterable[str]) -> JsonObject:
    """Return the metadata document (RFC 9728 section 2). `issuers` are URLs, exactly as in `iss`."""
    said: JsonObject = {
        "resource": resource.uri,
        "resource_name": name,
        "authorization_servers": [*issuers],
        "bearer_methods_supported": ["header"],
    }
    if shown := askable(scopes):
        said["scopes_supported"] = [*shown]
    return said


def askable(scopes: Iterable[str]) -> list[str]:
    """Return those scopes, sorted, that a resource may ask for and that a challenge can hold."""
    return sorted(s for s in set(scopes) - NO_RESOURCE_NEEDS if _SCOPE.fullmatch(s))


def challenge(base: str, *, resource: Resource | None, scopes: Iterable[str] = ()) -> str:
    """Return the value of `WWW-Authenticate`: `base`, with scopes and the metadata's address where they are known.

    `base` is `Bearer` or `Bearer error="…"` (RFC 6750 section 3). No text can end its quoted string: what could is
    left out.
    """
    more = [f'scope="{" ".join(shown)}"'] if (shown := askable(scopes)) else []
    if resource is not None and not _NOT_QUOTABLE.search(resource.metadata_url):
        more.append(f'resource_metadata="{resource.metadata_url}"')
    if not more:
        return base
    return f"{base}{', ' if '=' in base else ' '}{', '.join(more)}"
