"""What a request to the Kubernetes API would do, in the words of a reviewer: above all the command of an exec.

All of it is masked as the intent is, and every text of the requester stands as text: nothing in it is invisible.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.masking.masker import Masker
from holdpoint.pins.invisible import invisible
from holdpoint.protocols.kubernetes.built_in import honours_dry_run
from holdpoint.protocols.kubernetes.impersonation import asked_identity
from holdpoint.stages.sealing import shown_resource

STREAMS: Final = frozenset({"exec", "cp", "attach"})
"""Verbs by which somebody gets at what runs in a container."""
LONGEST: Final = 1_000
"""Characters of a summary. All of the command stands in `does`."""
_FORWARD: Final = "portforward"
_BARE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\\": "\\\\", "'": "\\'"}
_ASCII, _BMP = 0x80, 0xFFFF
_UNSEEN_CATEGORIES: Final = frozenset({"Mn", "Me", "Co", "Cn"})


def quoted(argument: str) -> str:
    """Return an argument as a shell (bash, zsh) would take it, with all of it that one does not see written out."""
    if _BARE.fullmatch(argument):
        return argument
    hidden = {at for _, at in invisible(argument)}
    if not hidden and all(_is_seen(c) for c in argument):
        return "'" + argument.replace("'", "'\\''") + "'"
    return "$'" + "".join(_escaped(c, is_hidden=at in hidden) for at, c in enumerate(argument)) + "'"


def command_line(argv: Sequence[str]) -> str:
    """Return a command on one line, each argument quoted where it needs to be."""
    return " ".join(map(quoted, argv))


def summary(access: AccessRequest, intent: JsonValue, masker: Masker) -> str:
    """Return on one line what is asked: `exec demo/web: sh -c id`. `intent` is sealed."""
    what = access.resource
    shown = shown_resource(what, masker)
    if isinstance(what, KubeObject) and access.action.verb in STREAMS | {_FORWARD}:
        # The verb says the subresource.
        shown = shown.partition(" ")[2]
    parts = [f"{access.action.verb} {shown}"]
    if command := command_of(intent):
        parts.append(f": {command}")
    if isinstance(what, KubeObject):
        if access.action.verb == _FORWARD:
            parts.append(f": {_ports(what)}")
        if what.options.patch:
            parts.append(f" ({what.options.patch} patch)")
        if what.options.dry_run:
            parts.append(" (dry run)")
    if taken_for := acts_for(access, masker):
        parts.append(f" as {', '.join(taken_for)}")
    line = "".join(parts)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ... (cut)"


def does(access: AccessRequest, intent: JsonValue, masker: Masker) -> JsonObject:
    """Return what is asked beside the object in the body, by name. `intent` is sealed."""
    said: JsonObject = {}
    what = access.resource
    if command := command_of(intent):
        said["command"] = command
    if isinstance(what, KubeObject):
        options = what.options
        if access.action.verb in STREAMS:
            said["container"] = masker.text(options.container).value or "the pod's default"
            said["stdin"], said["tty"] = options.stdin, options.tty
        if access.action.verb == _FORWARD:
            said["ports"] = _ports(what)
        if options.patch:
            said["patch"] = options.patch
        if options.dry_run:
            is_heeded = honours_dry_run(access.action.verb, what.group, what.resource, what.subresource)
            unsure = "" if is_heeded else ", and whether it heeds that is not known"
            said["dry run"] = f"the API server is asked to store nothing{unsure}"
        if not options.known:
            said["not understood"] = "a part of the body, which no rule has seen"
    if taken_for := acts_for(access, masker):
        said["as"] = list[JsonValue](taken_for)
    return said


def command_of(intent: JsonValue) -> str:
    """Return the command of an exec on one line, empty for all else. `intent` is sealed."""
    argv = as_object(as_object(intent).get("query")).get("command")
    if argv is None:
        return ""
    # What masks made one mark of is no list any more.
    return command_line([as_text(one) for one in argv] if isinstance(argv, list) else [as_text(argv)])


def _ports(what: KubeObject) -> str:
    return f"ports {', '.join(map(str, what.options.ports))}" if what.options.ports else "ports that are named later"


def acts_for(access: AccessRequest, masker: Masker) -> list[str]:
    """Return whom a request asks to be taken for, masked: empty where it asks for nobody."""
    asked = asked_identity(access.members)
    if asked is None:
        return []
    named = [("user ", asked.user), *(("group ", group) for group in asked.groups)]
    named += [("uid ", asked.uid)] if asked.uid else []
    named += [(f"extra {quoted(key)}=", value) for key, values in asked.extra for value in values]
    # Masked before it is quoted: a mask may not know what it looks for in its escapes.
    return [before + quoted(masker.text(value).value) for before, value in named]


def _is_seen(character: str) -> bool:
    return character == " " or (character.isprintable() and unicodedata.category(character) not in _UNSEEN_CATEGORIES)


def _escaped(character: str, *, is_hidden: bool) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _is_seen(character) and not is_hidden:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < _ASCII else f"\\u{code:04x}" if code <= _BMP else f"\\U{code:08x}"
