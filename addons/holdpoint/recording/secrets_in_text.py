"""Where credentials sit in names, URLs and header values, and how they are taken out.

This is the last net under masking, for what is not a body: it knows shapes, not meaning, and rather hides too much.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote_plus

MASKED = "[masked]"
_MASKED_QUERY = "%5Bmasked%5D"
_DECODINGS = 3

_SECRET_NAME = re.compile(
    r"""authori[sz]ation|(?:^|[-_.])auth(?:$|[-_.])|authentication-info|bearer|credential|cookie|csrf|jwt|passw|passphrase
    |pass(?:$|[-_.])|secret|session|signature|(?:^|[-_.])(?:sig|sid|otp|pin|code|ticket|assertion)(?:$|[-_.])|token
    |(?:api|access|auth|private|shared|subscription|functions|master|account)[-_.]?key|saml""",
    re.IGNORECASE | re.VERBOSE,
)
_PLAIN_NAMES = frozenset(
    {
        "www-authenticate",
        "proxy-authenticate",
        "access-control-allow-credentials",
        "sec-websocket-key",
        "idempotency-key",
        "status-code",
        "x-ms-error-code",
        "x-error-code",
        "progresstoken",
    }
)
_TEXT = re.compile(
    r"""(?P<user>(?<=://)[^/?\#\s@]*@)
    |(?P<eks>k8s-aws-v1\.[A-Za-z0-9_=-]+)
    |(?P<ws>base64url\.bearer\.authorization\.k8s\.io\.[A-Za-z0-9_=-]+)
    |(?P<jwt>\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,3})
    |(?P<scheme>\b(?:bearer|basic|digest|negotiate|aws4-hmac-sha256)[ \t]+)(?P<rest>[^\s,"'][^,"']*)
    |(?P<query>(?<=[?&;\#])(?P<name>[^=&;\s\#?]+)=)(?P<value>[^&;\s\#"'<>]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_FLAG = re.compile(
    r"""(?P<flag>(?<![A-Za-z0-9_-])--?(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,63})(?:(?:[ +]|%20)+|&command=))
    (?P<value>(?:(?!%20)[^&+\s])+)""",
    re.VERBOSE,
)
"""An option of a command and its value: in a shell's line, or as two arguments of an exec in a query."""
_COMMAND = "command="
_EKS_BYTES = re.compile(rb"k8s-aws-v1\.[A-Za-z0-9_=-]+")
_HANDLES = frozenset({"mcp-session-id"})
_CHALLENGES = frozenset({"www-authenticate", "proxy-authenticate"})


def is_secret_name(name: str) -> bool:
    """Whether what stands under this header, query or field name is taken for a credential."""
    return name.lower() not in _PLAIN_NAMES and _SECRET_NAME.search(name) is not None


_is_secret_name = lru_cache(maxsize=1_024)(is_secret_name)
_REMEMBERED = 64
"""Names up to this length: they come from callers, who must not choose how much memory this takes."""


def handle(value: str) -> str:
    """Return what stands for a handle that opens something: equal handles look equal, and nothing more is told."""
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _decoded(name: str) -> str:
    for _ in range(_DECODINGS):
        plain = unquote_plus(name)
        if plain == name:
            break
        name = plain
    return name


def _replace(found: re.Match[str]) -> str:
    if found["user"]:
        return f"{MASKED}@"
    if found["scheme"]:
        return f"{found['scheme']}{MASKED}"
    if found["query"] and found["value"] in (MASKED, _MASKED_QUERY):
        return found[0]
    if found["query"]:
        secret = is_secret_name(_decoded(found["name"]))
        return found["query"] + (_MASKED_QUERY if secret else text(found["value"]))
    return MASKED


_NOT_PLAIN = re.compile(rb"[=@ \t\x80-\xff]|eyj|k8s", re.IGNORECASE)
"""All that `may_hold` looks for, and more."""
_WORDS = ("bearer", "basic", "digest", "negotiate", "aws4-hmac-sha256")


def text(value: str) -> str:
    """Take credentials out of free text: userinfo and parameters of URLs, bearer and EKS tokens, JWTs."""
    return _TEXT.sub(_replace, value) if may_hold(value) else value


def may_hold(value: str) -> bool:
    """Tell whether `text` may change it. Each pattern needs one of these; to try them all takes ten times as long."""
    if not value.isascii() or "=" in value or "@" in value:
        return True
    low = value.lower()
    if "eyj" in low or "k8s" in low:
        return True
    return (" " in low or "\t" in low) and any(word in low for word in _WORDS)


@lru_cache(maxsize=1_024)
def _is_plain_name(name: bytes) -> bool:
    low = name.decode("latin-1").strip().lower()
    return low not in _HANDLES and low not in _CHALLENGES and not is_secret_name(low)


def is_plain(name: bytes, value: bytes) -> bool:
    """Tell whether a header surely stays as it is. Where it does not, `header` tells: this is most of them, fast."""
    return len(name) <= _REMEMBERED and _is_plain_name(name) and _NOT_PLAIN.search(value) is None


def path(value: str) -> str:
    """Take credentials out of a request's path and query."""
    clean = _path(value)
    if "%" not in clean:
        return clean
    # NOTE: percent-encoding hides tokens from the patterns. Where decoding uncovers one, the reader loses the encoding.
    plain = _decoded(clean)
    uncovered = _path(plain)
    return clean if uncovered == plain else uncovered.replace(" ", "%20")


def _path(value: str) -> str:
    clean = text(value)
    return _FLAG.sub(_hide_flag, clean) if _COMMAND in clean else clean


def _hide_flag(found: re.Match[str]) -> str:
    if found["value"] in (MASKED, _MASKED_QUERY) or not is_secret_name(found["name"]):
        return found[0]
    return found["flag"] + _MASKED_QUERY


def in_command(argv: Sequence[str]) -> frozenset[int]:
    """Return which arguments of a command hold a credential: what follows an option of such a name, or holds both."""
    found: set[int] = set()
    for index, argument in enumerate(argv):
        if any(is_secret_name(each["name"]) for each in _FLAG.finditer(argument)):
            found.add(index)
        if argument.startswith("-") and "=" not in argument and is_secret_name(argument.lstrip("-")):
            found.add(index + 1)
    return frozenset(index for index in found if index < len(argv))


def header(name: str, value: str) -> str:
    """Return what is kept of a header's value."""
    low = name.lower()
    if low in _HANDLES:
        return handle(value)
    if low in _CHALLENGES:
        return _PARAMETERS.sub(_challenge, value)
    if _is_secret_name(name) if len(name) <= _REMEMBERED else is_secret_name(name):
        return MASKED
    return text(value)


_PARAMETERS = re.compile(r"""(?P<name>[A-Za-z_-]+)\s*=\s*(?P<value>"[^"]*"|[^\s,]+)""")
_CHALLENGE_PARAMETERS = frozenset({"realm", "error", "error_description", "scope", "resource_metadata", "max_age"})


def _challenge(found: re.Match[str]) -> str:
    known = found["name"].lower() in _CHALLENGE_PARAMETERS
    return f"{found['name']}={text(found['value']) if known else MASKED}"


def body(data: bytes) -> bytes:
    """Take EKS tokens out of a body that masking left as it was."""
    return _EKS_BYTES.sub(MASKED.encode(), data) if b"k8s-aws-v1." in data else data
