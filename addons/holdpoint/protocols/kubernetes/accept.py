"""`Accept` as it goes upstream: forms that can be inspected, which is JSON, with the parameters that choose its shape.

The API server has its answers as protobuf and CBOR too, which no mask reads. Clients that prefer those name JSON as
well, and go on as if nothing had happened.
"""

from collections.abc import Iterator

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.headers import Headers

JSON = "application/json"
_ANYTHING = frozenset({"*", "*/*", "application/*"})
_TEXT = "text/"
"""Logs, health and metrics. The API server has its objects as no text."""
OPENAPI = "application/com.github.proto-openapi."
"""Protobuf of the OpenAPI documents (kube-openapi), which no mask reads in any form; client-go asks for it alone."""
_OTHER_FORMS = ("protobuf", "cbor", "yaml")
_MOST = 64


def rewritten(headers: Headers, *, verb: str) -> str:
    """Return the value of the one `Accept` that is sent. Raises Undecodable (406) where no alternative is left.

    Order, and with it preference, stays. What a proxied service offers nobody knows: there the others stay too.
    """
    asked = [value.decode("latin-1") for name, value in headers if name.lower() == b"accept"]
    clauses = [clause.strip(" \t") for value in asked for clause in value.split(",") if clause.strip(" \t")]
    if not clauses:
        return "*/*" if verb == "proxy" else JSON
    if len(clauses) > _MOST:
        raise Undecodable("`Accept` names too many forms")
    kept = list(dict.fromkeys(_kept(clauses, is_proxied=verb == "proxy")))
    if not kept:
        raise Undecodable("answers are JSON: accept `application/json`", status=406)
    return ",".join(kept)


def _kept(clauses: list[str], *, is_proxied: bool) -> Iterator[str]:
    for clause in clauses:
        media, *parameters = (part.strip(" \t") for part in clause.split(";"))
        form = media.lower()
        if any(_is_zero(p) for p in parameters):
            continue
        if is_proxied:
            if not any(other in form for other in _OTHER_FORMS):
                yield clause
        elif form in _ANYTHING:
            yield ";".join((JSON, *(p for p in parameters if p.lower().startswith("q="))))
        elif form == JSON or form.startswith((_TEXT, OPENAPI)):
            yield ";".join((form, *parameters))


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip().lower() == "q" and not value.strip().strip("0.")
