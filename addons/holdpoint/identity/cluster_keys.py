"""The keys of a cluster: from a file, or from an API server that shows them to nobody who does not log in."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from holdpoint.identity.fetch import MAX_BYTES, Fetch, FetchError, fetch
from holdpoint.settings import Issuer


class ClusterFetch:
    """Fetches for one issuer, with a bearer token where the document lies at the issuer's own origin."""

    def __init__(self, issuer: Issuer) -> None:
        self._token_file = issuer.token_file
        self._origins = {_origin(url) for url in (issuer.url, issuer.jwks_url) if url}

    async def __call__(self, url: str, *, ca_file: Path | None) -> bytes:
        """GET the document. Raises FetchError."""
        if self._token_file is None or _origin(url) not in self._origins:
            # A discovery document may name another host for the keys: our token is not for it.
            return await fetch(url, ca_file=ca_file)
        # The kubelet replaces it: read anew each time, which is every few minutes.
        bearer = (await asyncio.to_thread(read_file, self._token_file)).decode("ascii", "replace").strip()
        if not bearer or not bearer.isascii() or not bearer.isprintable():
            raise FetchError(f"`{self._token_file}` holds no bearer token")
        return await fetch(url, ca_file=ca_file, bearer=bearer)


def fetch_for(issuer: Issuer, usual: Fetch) -> Fetch:
    """Return how an issuer's documents are fetched."""
    return ClusterFetch(issuer) if issuer.token_file is not None else usual


def read_file(file: Path) -> bytes:
    """Return a small file. Raises FetchError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise FetchError(f"`{file}` cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise FetchError(f"`{file}` is larger than {MAX_BYTES} bytes")
    return data


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
