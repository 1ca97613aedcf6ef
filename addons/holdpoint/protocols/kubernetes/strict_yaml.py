"""YAML of which the API server and everybody else read the same: JSON in another spelling, and no more.

The API server reads YAML 1.1 (sigs.k8s.io/yaml), where `no` is false and `0777` is octal; readers of 1.2 do not. What
the two read differently is refused, and so is whatever makes a document say more than it shows: anchors, aliases, tags,
merge keys, directives, a second document, a key that stands twice.
"""

# ruamel is typed by halves.
# pyright: reportUnknownMemberType=false

import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.call import Undecodable

MAX_BYTES = 256 << 10
"""Half a second. Clients write JSON under the name of YAML, whose size this does not limit."""
MAX_DEPTH = 64

_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
"""Line breaks to YAML 1.1 and to nobody else, and the mark that says in which order bytes come."""
_SURROGATES = re.compile("[\ud800-\udfff]")
"""JSON's escapes for characters beyond 16 bits, which YAML does not have."""
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_NULL, _TRUE, _FALSE = frozenset({"", "~", "null"}), "true", "false"
_AMBIGUOUS = re.compile(
    r"(?:y|yes|n|no|on|off|true|false|null|=|<<)"
    r"|[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?0x[0-9a-f_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:e[-+]?[0-9]+)?"
    r"|[-+]?\.inf|\.nan"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*",
    re.IGNORECASE | re.DOTALL,
)
"""Plain scalars that are no strings to some version of YAML (1.1: the types of yaml.org; goyaml v2, resolve.go)."""

type _Event = Any
"""An event of ruamel, whose own types say too little: what is taken from it is converted at once."""


def refuse_breaks(text: str) -> None:
    """Refuse characters that end a line for the API server's reader alone. Raises Undecodable."""
    if _BREAKS.search(text):
        raise _broken("a line break that others do not see")


def loads(data: bytes) -> JsonValue:
    """Parse one document. Raises Undecodable, which never quotes the data."""
    if len(data) > MAX_BYTES:
        raise Undecodable(f"YAML larger than {MAX_BYTES} bytes: send JSON", status=413)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _broken("not UTF-8") from None
    refuse_breaks(text)
    try:
        return _document(YAML(typ="safe", pure=True).parse(StringIO(text)))
    except (YAMLError, ValueError, RecursionError, StopIteration) as error:
        if isinstance(error, Undecodable):
            raise
        raise _broken("not one YAML document") from None


def _document(events: Iterator[_Event]) -> JsonValue:
    _expect(events, "StreamStartEvent")
    start = _expect(events, "DocumentStartEvent")
    if start.version or start.tags:
        raise _broken("directives are not accepted")
    value = _value(next(events), events, MAX_DEPTH)
    _expect(events, "DocumentEndEvent")
    _expect(events, "StreamEndEvent")
    return value


def _expect(events: Iterator[_Event], name: str) -> _Event:
    event = next(events)
    if type(event).__name__ != name:
        raise _broken("more than one document, or none")
    return event


def _value(event: _Event, events: Iterator[_Event], depth: int) -> JsonValue:
    kind = type(event).__name__
    if kind == "AliasEvent" or event.anchor:
        raise _broken("anchors and aliases are not accepted")
    if event.tag:
        raise _broken("tags are not accepted")
    if kind == "ScalarEvent":
        return _scalar(str(event.value), is_plain=not event.style)
    if not depth:
        raise _broken(f"nested deeper than {MAX_DEPTH}")
    if kind == "SequenceStartEvent":
        found: list[JsonValue] = []
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            found.append(_value(event, events, depth - 1))
        return found
    return _mapping(events, depth)


def _mapping(events: Iterator[_Event], depth: int) -> JsonObject:
    made: JsonObject = {}
    while type(event := next(events)).__name__ != "MappingEndEvent":
        key = _value(event, events, depth - 1)
        if not isinstance(key, str):
            raise _broken("a key that is no string")
        if key in made:
            raise _broken("a mapping has the same key twice")
        if key == "<<":
            raise _broken("merge keys are not accepted")
        made[key] = _value(next(events), events, depth - 1)
    return made


def _scalar(text: str, *, is_plain: bool) -> JsonValue:
    if _SURROGATES.search(text):
        raise _broken("half a character")
    if not is_plain:
        return text
    if text in _NULL:
        return None
    if text in {_TRUE, _FALSE}:
        return text == _TRUE
    if _INT.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _AMBIGUOUS.fullmatch(text):
        raise _broken("a value that YAML 1.1 and 1.2 read differently: put it in quotes")
    return text


def _broken(message: str) -> Undecodable:
    return Undecodable(f"invalid YAML: {message}")
