"""Label and field selectors of the test API server."""

import re
from typing import Any

from tests.fakes.kube_server_http import Request

_SET = re.compile(r"^\s*(?P<key>[\w./-]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)\s*$")
_SPLIT = re.compile(r",(?![^(]*\))")


def matches(request: Request, found: dict[str, Any], name: str = "") -> bool:
    """Whether an object is one that a request means."""
    if name and found["metadata"]["name"] != name:
        return False
    labels = found["metadata"].get("labels") or {}
    for one in filter(None, _SPLIT.split(request.param("labelSelector"))):
        if not _label(one.strip(), labels):
            return False
    for one in filter(None, request.param("fieldSelector").split(",")):
        key, op, value = re.split(r"(!=|==|=)", one, maxsplit=1)
        if (str(_field(found, key)) == value) is (op == "!="):
            return False
    return True


def _label(one: str, labels: dict[str, str]) -> bool:
    if found := _SET.match(one):
        values = {v.strip() for v in found["values"].split(",")}
        return (labels.get(found["key"]) in values) is (found["op"] == "in")
    if one.startswith("!"):
        return one[1:] not in labels
    parts = re.split(r"(!=|==|=)", one, maxsplit=1)
    if len(parts) == 1:
        return one in labels
    key, op, value = (p.strip() for p in parts)
    return (labels.get(key) == value) is (op != "!=")


def _field(found: Any, key: str) -> Any:
    for part in key.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return found
