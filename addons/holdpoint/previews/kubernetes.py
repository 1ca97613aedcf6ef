"""What a request to the Kubernetes API would change: the live object, and the write itself with `dryRun=All`."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.client import Answer
from holdpoint.previews.diff import diff
from holdpoint.previews.errors import NotTried, Rejected, Trouble
from holdpoint.previews.listing import PAGE, Listing, Send, read
from holdpoint.previews.objects import clean, live_facts, metadata, steady, steady_change, text_of
from holdpoint.previews.requests import dry_write, get, of_collection, of_object

type Sort = Literal["create", "change", "delete", "delete many", "reach into"]

PAGES: Final = 4
"""Pages of a collection that are read before a `deletecollection`."""
_INTO_PODS: Final = frozenset({"exec", "cp", "attach", "portforward"})
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_TRIES: Final = 3
"""How often an object is read again that changed between the read and the dry run."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out. Nothing in it is masked."""

    sort: Sort
    before: JsonObject | None = None
    """The object as it is stored, None where there is none."""
    after: JsonObject | None = None
    """What the API server says that it would be."""
    own: JsonObject = field(default_factory=dict[str, JsonValue])
    """What the request itself says."""
    parent: JsonObject = field(default_factory=dict[str, JsonValue])
    """The whole object where `before` is only what a subresource shows of it."""
    many: Listing | None = None
    subresource: str = ""
    warnings: tuple[str, ...] = ()
    propagation: str = ""

    @property
    def live(self) -> JsonObject:
        """uid, generation and resource version of the object as it was read."""
        return live_facts(self.parent or self.before)

    def lines(self) -> tuple[JsonObject, JsonObject]:
        """Return the object before and after, without what every write changes."""
        return (
            clean(self.before or {}, subresource=self.subresource),
            clean(self.after or {}, subresource=self.subresource),
        )


async def look(access: AccessRequest, said: JsonMapping, send: Send) -> Found:
    """Find out what a request would change. `said` is the query of its intent.

    Raises NotTried, Rejected where the API server would refuse it, Trouble where that cannot be known.
    """
    what = access.resource
    if not isinstance(what, KubeObject):
        raise NotTried("a path of the API server that is no object cannot be tried")
    match access.action.verb:
        case "get" | "list" | "watch":
            raise NotTried("it is a read, and changes nothing")
        case verb if verb in _INTO_PODS and (what.group, what.resource) == ("", "pods"):
            return Found("reach into", before=(await send(get(of_object(what)))).document)
        case "deletecollection":
            return await _many(what, send)
        case "delete":
            return await _delete(access, said, send)
        case "create" if what.subresource == "eviction":
            return await _evict(access, said, send)
        case "create":
            answer = await send(dry_write(access, said))
            return _created(access, answer)
        case _:
            return await _change(access, said, send)


def difference(found: Found) -> JsonValue:
    """Return all that voids an approval when it changes, unmasked: seal it before it is kept."""
    live = found.live
    identity: JsonObject = {"uid": live.get("uid", ""), "generation": live.get("generation", 0)}
    before, after = found.lines()
    match found.sort:
        case "create":
            return {**identity, "made": steady(after, found.own)}
        case "delete":
            return {**identity, "gone": before}
        case "delete many":
            items = found.many.items if found.many else ()
            return {"gone": [_identity(one) for one in items], "more": found.many is not None and found.many.more}
        case "reach into":
            return {"uid": live.get("uid", ""), "containers": [*containers(before)]}
        case "change":
            made = (steady_change(change, found.own).shown() for change in diff(before, after))
            return {**identity, "changes": [*made]}


def sealed_digest(found: Found, key: bytes) -> str:
    """Return the keyed digest of the difference."""
    made = hmac.new(key, b"dry run\0" + canonical(difference(found)), hashlib.sha256)
    return f"hmac-sha256:{made.hexdigest()}"


def containers(pod: JsonObject) -> Sequence[JsonObject]:
    """Return name and image of what runs in a pod."""
    spec = as_object(pod.get("spec"))
    found: list[JsonObject] = []
    for field_name in ("containers", "initContainers", "ephemeralContainers"):
        values = spec.get(field_name)
        listed = [as_object(one) for one in values] if isinstance(values, list) else []
        found += [{"name": one.get("name"), "image": one.get("image")} for one in listed]
    return found


def _identity(one: JsonObject) -> JsonValue:
    return [text_of(one, "namespace"), text_of(one, "name"), text_of(one, "uid"), metadata(one).get("generation", 0)]


def _created(access: AccessRequest, answer: Answer) -> Found:
    subresource = access.resource.subresource if isinstance(access.resource, KubeObject) else ""
    own = dict(access.arguments)
    return Found("create", after=answer.document, own=own, warnings=answer.warnings, subresource=subresource)


async def _live(what: KubeObject, send: Send) -> JsonObject | None:
    try:
        return (await send(get(of_object(what)))).document
    except Rejected as error:
        if error.status == _NOT_FOUND:
            return None
        raise


async def _change(access: AccessRequest, said: JsonMapping, send: Send) -> Found:
    what = access.resource
    if not isinstance(what, KubeObject):
        raise NotTried("it is no object")
    write = dry_write(access, said)
    for _ in range(_TRIES):
        live = await _live(what, send)
        answer = await send(write)
        if live is None:
            return _created(access, answer)
        based_on = text_of(answer.document, "resourceVersion")
        if based_on and based_on != text_of(live, "resourceVersion"):
            continue  # changed between the two: they are not of one object
        before, after = _parts(what, live, answer.document)
        return Found(
            "change",
            before=before,
            after=after,
            own=dict(access.arguments),
            parent=live,
            subresource=what.subresource,
            warnings=answer.warnings,
        )
    raise Trouble("the object changes all the time: it was another one at each of several tries")


def _parts(what: KubeObject, live: JsonObject, result: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return what of the live object a subresource shows, in the form of its result."""
    kind = as_text(result.get("kind"))
    if what.subresource == "scale" or kind == "Scale":
        now, then = (as_object(one.get("spec")).get("replicas", 0) for one in (live, result))
        return {"spec": {"replicas": now}}, {"spec": {"replicas": then}}
    if kind == "EphemeralContainers":
        # API servers before 1.22.
        now = as_object(live.get("spec")).get("ephemeralContainers", [])
        then = result.get("ephemeralContainers", [])
        return {"spec": {"ephemeralContainers": now}}, {"spec": {"ephemeralContainers": then}}
    return live, result


async def _delete(access: AccessRequest, said: JsonMapping, send: Send) -> Found:
    what = access.resource
    if not isinstance(what, KubeObject):
        raise NotTried("it is no object")
    write = dry_write(access, said)
    live = (await send(get(of_object(what)))).document
    _check_preconditions(as_object(access.arguments.get("preconditions")), live)
    answer = await send(write)
    return Found("delete", before=live, warnings=answer.warnings, propagation=_propagation(access.arguments or said))


def _check_preconditions(wanted: JsonObject, live: JsonObject) -> None:
    for name, of_live in (("uid", "uid"), ("resourceVersion", "resourceVersion")):
        if wanted.get(name) not in (None, "", text_of(live, of_live)):
            raise Rejected(f"the `{name}` that the request asks for is not the object's", status=_CONFLICT)


def _propagation(options: JsonMapping) -> str:
    if options.get("orphanDependents") is True:
        return "Orphan"
    return as_text(options.get("propagationPolicy"))


async def _evict(access: AccessRequest, said: JsonMapping, send: Send) -> Found:
    what = access.resource
    if not isinstance(what, KubeObject):
        raise NotTried("it is no object")
    write = dry_write(access, said)
    live = (await send(get(of_object(what)))).document
    _check_preconditions(as_object(as_object(access.arguments.get("deleteOptions")).get("preconditions")), live)
    answer = await send(write)
    return Found("delete", before=live, warnings=answer.warnings, subresource="eviction")


async def _many(what: KubeObject, send: Send) -> Found:
    # Not tried: the answer of an API server to it is every object whole.
    options = what.options
    path = of_collection(what)
    found = await read(send, path, labels=options.label_selector, fields=options.field_selector, pages=PAGES, page=PAGE)
    return Found("delete many", many=found)
