"""Own paths, and nothing else, as places to go to after a login."""

import re
from urllib.parse import quote

APPROVAL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VALUE = r"[A-Za-z0-9%._~+*-]{0,600}"
_LOOK = rf"(?:principal|target|since|until|before)={_VALUE}"
_SEARCH = rf"(?:state|target|person|verb|text|since|until|mine|before)={_VALUE}"
_OWN = re.compile(
    r"/(?:"
    r"requests/[A-Za-z0-9_-]{1,64}(?:/full)?"
    rf"|history(?:\?{_SEARCH}(?:&{_SEARCH}){{0,15}})?"
    r"|grants(?:\?(?:whose|state)=[a-z]{0,16}(?:&(?:whose|state)=[a-z]{0,16})?)?"
    r"|principals"
    rf"|sessions(?:\?{_LOOK}(?:&{_LOOK}){{0,9}})?"
    r"|sessions/[A-Za-z0-9_-]{1,64}(?:\?start=[0-9]{1,6})?"
    r"|exchanges/[A-Za-z0-9_-]{1,64}"
    r")?"
)


def safe_next(path: str) -> str:
    """Return `path` if it is one of our own pages, `/` otherwise. A list of what is allowed, not of what is not."""
    return path if _OWN.fullmatch(path) else "/"


def login_path(then: str) -> str:
    """Return the address of the login that leads to `then`."""
    own = safe_next(then)
    return "/login" if own == "/" else f"/login?next={quote(own, safe='')}"
