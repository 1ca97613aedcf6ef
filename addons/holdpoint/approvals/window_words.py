"""The sentence that a reviewer reads before an approval: what it lets pass, by whom, for how long. Pure.

Every name in it was chosen by somebody who asks: it is masked, shown with all that one does not see spelled out, and
stands in backticks wherever it could be taken for a part of the sentence.
"""

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import isinf

from holdpoint.approvals.terms import Reach
from holdpoint.domain.access import (
    AccessRequest,
    KubeObject,
    KubePath,
    McpPrompt,
    McpTool,
    Principal,
    describe_resource,
)
from holdpoint.domain.canonical import canonical
from holdpoint.domain.decision import Scope
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols.kubernetes.built_in import honours_dry_run
from holdpoint.visible_text import spelled_out

LONGEST = 160
"""Characters of one name or value. All of it stands in the preview."""
MOST = 12
"""Arguments that are named one by one."""
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]*")
_SEALED = re.compile(r'"?\[sealed:[0-9a-f]{64}\]"?')
"""A sealed leaf says nothing to a reader, and that it is masked says enough."""
_ALL = frozenset({"list", "watch", "deletecollection"})
_DELETES = frozenset({"delete", "deletecollection"})
_CHANGES = frozenset({"update", "patch"})
_STREAMS = frozenset({"attach", "cp", "exec", "portforward"})
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Words:
    """What the stages know how to show."""

    mask: Callable[[str], str]
    command: str = ""
    """The command of an exec on one line, masked and quoted as for a shell."""
    acts_as: tuple[str, ...] = ()
    """Whom the request asks to be taken for, masked and quoted."""


def sentence(access: AccessRequest, intent: JsonValue, carries: Reach, words: Words) -> str:
    """Say what an approval lets pass. `intent` is sealed."""
    is_wide = carries.scope is not Scope.REQUEST
    what = access.resource
    said = as_object(intent)
    if is_wide and isinstance(what, KubeObject) and is_taken_apart(access, said):
        opened = _objects(access, what, said, carries.widen, words)
    elif is_wide and isinstance(what, McpTool | McpPrompt) and not access.members and arguments_of(said)[0]:
        opened = _calls(what, said, carries.widen, words)
    else:
        opened = ("this very request, as often as it is made: " if is_wide else "this one request: ") + _plain(
            access, words
        )
    acts = f", taken for {' and '.join(words.acts_as)}" if words.acts_as else ""
    return f"{opened}{acts}, by {_who(access.principal)}{tail(carries)}"


def tail(carries: Reach) -> str:
    """Return the end of the sentence: for how long. It depends on the terms alone."""
    stream = (
        ""
        if isinf(carries.stream_seconds)
        else f"; a stream that it opens ends {span(carries.stream_seconds)} after the approval"
    )
    match carries.scope:
        case Scope.REQUEST:
            return f", once{stream}"
        case Scope.WINDOW:
            return f", for {span(carries.duration)} from the approval"
        case Scope.SESSION:
            return f", in this MCP session alone, for {span(carries.duration)} from the approval"


def span(seconds: float) -> str:
    """Return a duration in words: `90 minutes`, `1 hour`."""
    whole = round(seconds)
    for size, unit in _UNITS:
        if whole and whole == seconds and whole % size == 0:
            count = whole // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds:g} seconds"


def is_taken_apart(access: AccessRequest, said: JsonObject) -> bool:
    """Tell whether it is known of a request to the Kubernetes API which object it is about, whatever its body says.

    It is not of what goes on to another server, of a body that nobody could read, and where a mask took the place of
    more than a value.
    """
    what = access.resource
    if not isinstance(what, KubeObject) or access.action.verb == "proxy" or what.subresource == "proxy":
        return False
    body = said.get("object", {})
    is_plain = isinstance(said.get("query"), dict) and isinstance(body, dict)
    if not is_plain or not what.options.known or "unread" in said:
        return False
    return bool(what.name) or isinstance(as_object(body).get("metadata", {}), dict | None)


def arguments_of(said: JsonObject) -> tuple[bool, JsonValue]:
    """Return whether a call can be taken apart, and its arguments; None where it has none."""
    params = said.get("params")
    return (True, params.get("arguments")) if isinstance(params, dict) else (False, None)


def name_of(what: KubeObject, said: JsonObject) -> tuple[str, str]:
    """Return the name of an object, and of one that the API server will name how its name begins."""
    if what.name:
        return as_text(said.get("name")) or what.name, ""
    return "", as_text(as_object(as_object(said.get("object")).get("metadata")).get("generateName"))


def _plain(access: AccessRequest, words: Words) -> str:
    what = access.resource
    verb = access.action.verb
    if isinstance(what, KubeObject | KubePath):
        shown = _word(describe_resource(what), words)
        return f"{_word(verb, words)} {shown}" + (f": {words.command}" if words.command else "")
    return f"{_word(verb, words)} of {_word(describe_resource(what), words)}"


def _objects(access: AccessRequest, what: KubeObject, said: JsonObject, widen: AbstractSet[str], words: Words) -> str:
    verb, options = access.action.verb, what.options
    is_stream = verb in _STREAMS
    parts = [_verb(verb, options.patch, widen, words), _subject(what, said, verb, widen, words, is_stream=is_stream)]
    parts.append(_place(what, said, verb, widen, words))
    if is_stream:
        parts += _inside(what, verb, widen, words)
    parts += _selected(what, widen, words)
    if options.dry_run and honours_dry_run(verb, what.group, what.resource, what.subresource):
        parts.append(", tried only: nothing is stored")
    elif options.dry_run:
        parts.append(", asked for as a dry run, which whoever serves it may not heed")
    elif "verb" in widen or verb in _CHANGES:
        parts.append(", whatever it changes")
    elif verb == "create":
        parts.append(", whatever is in it")
    elif verb in _DELETES:
        parts.append(", in whatever time and whatever becomes of what it owns")
    return "".join(parts)


def _verb(verb: str, patch: str, widen: AbstractSet[str], words: Words) -> str:
    if "verb" in widen:
        return "anything done to "
    if patch == "apply":
        return "any server-side apply, which creates what is not there, of "
    return f"any {_word(verb, words)} of " if verb not in _STREAMS else f"any {verb} in "


def _subject(
    what: KubeObject, said: JsonObject, verb: str, widen: AbstractSet[str], words: Words, *, is_stream: bool
) -> str:
    kind = what.resource + (f".{what.group}" if "." in what.group else "")
    if "resource" in widen:
        kind = "objects of any kind"
    sub = (
        f"{_word(what.subresource, words)} of " if what.subresource and not (is_stream and "verb" not in widen) else ""
    )
    name, start = name_of(what, said)
    if not name and verb != "create":
        return f"{sub}all {kind} at once"
    if "name" in widen:
        return f"{sub}any one of {kind}" if "resource" not in widen else f"{sub}any one of the {kind}"
    if not name:
        return f"{sub}{kind} named {_word(start, words)} and what the API server adds" if start else f"{sub}{kind}"
    if "resource" in widen:
        return f"{sub}{kind} named {_word(name, words)}"
    return f"{sub}{kind}/{_word(name, words)}"


def _place(what: KubeObject, said: JsonObject, verb: str, widen: AbstractSet[str], words: Words) -> str:
    if what.namespace:
        if what.resource == "namespaces" and what.namespace == what.name:
            return ""
        named_so = as_text(said.get("namespace")) or what.namespace
        return " in any one namespace" if "namespace" in widen else f" in namespace {_word(named_so, words)}"
    return " in the whole cluster" if verb in _ALL else " of the cluster"


def _inside(what: KubeObject, verb: str, widen: AbstractSet[str], words: Words) -> list[str]:
    options = what.options
    if verb == "portforward":
        if "ports" in widen:
            return [", any port"]
        return [f", ports {', '.join(map(str, options.ports))}" if options.ports else ", ports that are named later"]
    inside = f", container {_word(options.container, words)}" if options.container else ", the pod's default container"
    if "container" in widen:
        inside = ", any container"
    if "command" in widen:
        return [inside, ", any command"]
    how = [name for name, given in (("stdin", options.stdin), ("tty", options.tty)) if given]
    ran = f": {_cut(words.command)}" if words.command else ""
    return [inside, f" with {' and '.join(how)}" if how else "", ran]


def _selected(what: KubeObject, widen: AbstractSet[str], words: Words) -> list[str]:
    options = what.options
    if "selectors" in widen:
        return [] if what.name else [", whatever is selected"]
    chosen = (("labels", options.label_selector), ("fields", options.field_selector))
    return [f", with {kind} {_word(given, words)}" for kind, given in chosen if given]


def _calls(what: McpTool | McpPrompt, said: JsonObject, widen: AbstractSet[str], words: Words) -> str:
    kind = "tool" if isinstance(what, McpTool) else "prompt"
    name = _word(what.name, words)
    _, given = arguments_of(said)
    if "arguments" in widen:
        return f"any call of {kind} {name}, whatever its arguments"
    free = sorted(w.removeprefix("arguments.") for w in widen if w.startswith("arguments."))
    also = f", and any value of {', '.join(_word(n, words) for n in free)}" if free else ""
    if given is None or given == {}:
        return f"any call of {kind} {name} without arguments{also}"
    if not isinstance(given, dict):
        return f"any call of {kind} {name} with just these arguments, which are masked"
    pinned = [f"{_word(n, words)} = {_value(v, words)}" for n, v in sorted(given.items()) if n not in free]
    if len(pinned) > MOST:
        pinned = [*pinned[:MOST], f"{len(pinned) - MOST} more"]
    with_what = f"with {', '.join(pinned)}" if pinned else "without other arguments"
    return f"any call of {kind} {name} {with_what}{also}"


def _who(principal: Principal) -> str:
    person = principal.person or principal.name or principal.subject
    agent = f" through agent {_word(principal.actor.subject, None)}" if principal.actor else ""
    return f"{_word(person, None)}{agent}"


def _value(value: JsonValue, words: Words) -> str:
    return _word(canonical(value).decode(), words)


def _word(text: str, words: Words | None) -> str:
    shown = words.mask(text) if words else text
    shown = _cut(spelled_out(_SEALED.sub("[masked]", shown)))
    return shown if _BARE.fullmatch(shown) else f"`{shown.replace('`', '<U+0060>')}`"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... (cut)"
