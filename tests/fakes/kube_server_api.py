"""Paths of the test API server and what they answer: discovery, objects, lists, Tables, watches, reviews."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.fakes import kube_openapi, kube_protobuf
from tests.fakes.kube_identity import User
from tests.fakes.kube_kinds import Kind, aggregated, group, groups, kind_of, kinds, resources
from tests.fakes.kube_selectors import matches
from tests.fakes.kube_server_http import Break, BrokenOff, Request, Response, Upgrade
from tests.fakes.kube_store import ApiError, Change, Object, Store, conflict
from tests.fakes.kube_subresources import Subresources
from tests.fakes.kube_tables import partial, table
from tests.fakes.kube_terminals import Terminals

if TYPE_CHECKING:
    from tests.fakes.kube_server import Faults

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitCommit": "0" * 40, "platform": "linux/amd64"}
_APPLY = "application/apply-patch+yaml"
_FORM = re.compile(r"^application/json(?:;(?P<parameters>.*))?$")


@dataclass(frozen=True, slots=True)
class Form:
    """What a client takes: `as`, `g` and `v` of its Accept."""

    sort: str = ""
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A resource path, taken apart."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    sub: str = ""
    rest: tuple[str, ...] = ()


@dataclass(eq=False)
class Watch:
    """One that runs."""

    queue: asyncio.Queue[Change | Break | None] = field(default_factory=asyncio.Queue)


class Api:
    """Answers requests of somebody whose name is known."""

    def __init__(self, store: Store, pods: Path, faults: "Faults", url: Callable[[], str]) -> None:
        self.store, self.faults = store, faults
        self.terminals = Terminals(pods, faults)
        self.subresources = Subresources(store, url)
        self.watches: set[Watch] = set()

    async def close(self) -> None:
        """End what runs."""
        await self.terminals.close()

    def failure(self, wrong: ApiError) -> Response:
        """A Status."""
        return self._json(wrong.code, wrong.status)

    def _json(self, status: int, body: Any, sort: str = "application/json") -> Response:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        headers = [("content-type", sort), ("cache-control", "no-cache, private"), ("audit-id", "00000000-audit")]
        return Response(status, text, headers)

    async def answer(self, request: Request, user: User) -> Response | Upgrade:
        """Raises ApiError, and what bad bodies raise."""
        path = request.path.rstrip("/") or "/"
        parts = path.strip("/").split("/")
        place = self._place(parts)
        if place is not None:
            found = await self._resource(request, place, user)
        else:
            found = self._other(request, path, parts)
        return self._packed(request, found) if isinstance(found, Response) else found

    def _packed(self, request: Request, answer: Response) -> Response:
        wanted = "gzip" in request.header("accept-encoding") or self.faults.ignore_identity
        if not (self.faults.gzip and wanted and isinstance(answer.body, bytes) and len(answer.body) > 128 * 1024):
            return answer
        return Response(answer.status, gzip.compress(answer.body, 1), [*answer.headers, ("content-encoding", "gzip")])

    # What is no resource

    def _other(self, request: Request, path: str, parts: list[str]) -> Response:
        match parts:
            case ["version"]:
                return self._json(200, VERSION)
            case ["healthz" | "livez" | "readyz", *_]:
                return Response(200, b"ok", [("content-type", "text/plain; charset=utf-8")])
            case ["api" | "apis"]:
                return self._discovery(request, path)
            case ["api", "v1"] | ["apis", _, _]:
                listed = resources("" if len(parts) == 2 else parts[1], parts[-1])
            case ["apis", name]:
                listed = group(name)
            case ["openapi", "v2"]:
                listed = kube_openapi.v2()
            case ["openapi", "v3", *which]:
                listed = kube_openapi.v3("/".join(which))
            case _:
                listed = None
        if listed is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        return self._tagged(request, listed)

    def _tagged(self, request: Request, body: Any, sort: str = "application/json") -> Response:
        answer = self._json(200, body, sort)
        assert isinstance(answer.body, bytes)
        tag = f'"{hashlib.sha256(answer.body).hexdigest().upper()}"'
        headers = [("content-type", sort), ("etag", tag), ("cache-control", "public"), ("vary", "Accept")]
        if request.header("if-none-match") == tag:
            return Response(304, b"", headers[1:])
        return Response(200, answer.body, headers)

    def _discovery(self, request: Request, path: str) -> Response:
        for form in _forms(request):
            if form.sort == "APIGroupDiscoveryList" and form.version in {"v2", "v2beta1"}:
                body = {**aggregated()[path], "apiVersion": f"apidiscovery.k8s.io/{form.version}"}
                sort = f"application/json;g=apidiscovery.k8s.io;v={form.version};as=APIGroupDiscoveryList"
                return self._tagged(request, body, sort)
            if not form.sort:
                break
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
        plain = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
        return self._tagged(request, plain if path == "/api" else groups())

    # Resources

    def _place(self, parts: list[str]) -> Place | None:
        if parts[0] == "api" and len(parts) > 2:
            name, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            name, version, rest = parts[1], parts[2], parts[3:]
        else:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            namespace, rest = rest[1], rest[2:]
        kind = kinds().get((name, version, rest[0]))
        if kind is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        one = rest[1] if len(rest) > 1 else ""
        return Place(kind, namespace, one, rest[2] if len(rest) > 2 else "", tuple(rest[3:]))

    async def _resource(  # noqa: C901  # methods, one case each
        self, request: Request, place: Place, user: User
    ) -> Response | Upgrade:
        method, kind = request.method, place.kind
        if place.sub in {"exec", "attach", "portforward", "log"}:
            pod = self.store.get(kind, place.namespace, place.name)
            return await self.terminals.answer(request, place.sub, pod)
        body = self._body(request) if method in {"POST", "PUT", "PATCH", "DELETE"} else None
        dry_run = request.params("dryRun") == ["All"] or (isinstance(body, dict) and body.get("dryRun") == ["All"])
        special = self.subresources.answer(request, place, body, user, dry_run=dry_run)
        if special is not None:
            return self._json(*special)
        manager = request.param("fieldManager") or request.header("user-agent").partition("/")[0]
        where = (kind, place.namespace, place.name)
        match method:
            case "GET" | "HEAD" if place.name and not _watching(request):
                return self._one(request, place, 200, self.store.get(*where))
            case "GET" | "HEAD":
                return self._watch(request, place) if _watching(request) else self._list(request, place)
            case "POST" if not place.name:
                self._agrees(place, body)
                return self._one(
                    request,
                    place,
                    201,
                    self.store.create(kind, place.namespace, body, manager=manager, dry_run=dry_run),
                )
            case "PUT":
                self._agrees(place, body)
                found = self.store.update(
                    *where, lambda _: body, manager=manager, dry_run=dry_run, subresource=place.sub
                )
                return self._one(request, place, 200, found)
            case "PATCH" if request.header("content-type").startswith(_APPLY):
                force = request.param("force") == "true"
                found, new = self.store.apply(*where, body, manager=manager, force=force, dry_run=dry_run)
                return self._one(request, place, 201 if new else 200, found)
            case "PATCH":
                sort = request.header("content-type").partition(";")[0]
                found = self.store.patch(*where, sort, body, manager=manager, dry_run=dry_run, subresource=place.sub)
                return self._one(request, place, 200, found)
            case "DELETE" if place.name:
                return self._delete(place, body, dry_run=dry_run)
            case "DELETE":
                return self._delete_all(request, place, dry_run=dry_run)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})

    def _body(self, request: Request) -> Any:
        sort = request.header("content-type").partition(";")[0]
        if not request.body:
            return {} if request.method == "DELETE" else None
        if request.body.startswith(kube_protobuf.MAGIC):
            try:
                return kube_protobuf.decode(request.body)
            except LookupError as unknown:
                raise ApiError(415, "UnsupportedMediaType", f"no message for {unknown}") from None
        if sort in {"application/yaml", _APPLY}:
            return yaml.safe_load(request.body)
        if sort in {"application/cbor", "application/vnd.kubernetes.protobuf"}:
            text = f"the body of the request was in an unknown format - accepted media types include: not {sort}"
            raise ApiError(415, "UnsupportedMediaType", text)
        return json.loads(request.body)

    def _agrees(self, place: Place, body: Object) -> None:
        said = body.get("metadata", {}).get("namespace", "")
        if place.kind.namespaced and said not in {"", place.namespace}:
            text = "the namespace of the provided object does not match the namespace sent on the request"
            raise ApiError(400, "BadRequest", text)
        if body.get("kind", place.kind.kind) != place.kind.kind:
            raise ApiError(
                400,
                "BadRequest",
                f"{body['kind']} in version {body.get('apiVersion')!r} cannot be handled as a {place.kind.kind}",
            )

    def _one(self, request: Request, place: Place, status: int, found: Object) -> Response:
        for form in _forms(request):
            version = self.store.version
            if form.sort == "Table":
                rows = table(
                    place.kind,
                    [found],
                    {"resourceVersion": str(version)},
                    version=form.version,
                    include=request.param("includeObject"),
                )
                return self._json(status, rows)
            if form.sort == "PartialObjectMetadata":
                return self._json(status, partial(found, form.version))
            if not form.sort:
                break
        return self._json(status, _as_asked(place.kind, found))

    def _list(self, request: Request, place: Place) -> Response:
        kept, version = self.store.all(place.kind, place.namespace)
        kept = [o for o in kept if matches(request, o)]
        limit, metadata = int(request.param("limit", "0")), {"resourceVersion": str(version)}
        if mark := request.param("continue"):
            start = json.loads(base64.urlsafe_b64decode(mark + "=="))
            if start["rv"] < self.store.oldest:
                raise ApiError(
                    410, "Expired", "The provided continue parameter is too old to display a consistent list result."
                )
            kept = [o for o in kept if _key(o) > start["start"]]
        if limit and len(kept) > limit:
            text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": _key(kept[limit - 1])}).encode()
            metadata |= {
                "continue": base64.urlsafe_b64encode(text).decode().rstrip("="),
                "remainingItemCount": len(kept) - limit,
            }  # type: ignore[dict-item]
            kept = kept[:limit]
        for form in _forms(request):
            if form.sort == "Table":
                return self._json(
                    200, table(place.kind, kept, metadata, version=form.version, include=request.param("includeObject"))
                )
            if form.sort == "PartialObjectMetadataList":
                listed = [partial(o, form.version) for o in kept]
                head = {"kind": form.sort, "apiVersion": f"meta.k8s.io/{form.version}", "metadata": metadata}
                return self._json(200, head | {"items": listed})
            if not form.sort:
                break
        items = [{k: v for k, v in _as_asked(place.kind, o).items() if k not in {"kind", "apiVersion"}} for o in kept]
        if place.kind.group.endswith("example.org"):
            items = kept
        head = {"kind": f"{place.kind.kind}List", "apiVersion": place.kind.api_version, "metadata": metadata}
        return self._json(200, head | {"items": items})

    def _delete(self, place: Place, body: Object | None, *, dry_run: bool) -> Response:
        wanted = (body or {}).get("preconditions") or {}
        before = self.store.get(place.kind, place.namespace, place.name)
        if wanted.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            raise ApiError(409, "Conflict", f"Precondition failed: UID in precondition: {wanted['uid']}")
        version = before["metadata"]["resourceVersion"]
        if wanted.get("resourceVersion", version) != version:
            raise conflict(place.kind, place.name)
        gone = self.store.delete(place.kind, place.namespace, place.name, dry_run=dry_run)
        if place.kind.plural in {"pods", "namespaces"}:
            return self._json(200, gone | {"metadata": gone["metadata"] | {"deletionTimestamp": self.store.now}})
        details = {
            "name": place.name,
            **({"group": place.kind.group} if place.kind.group else {}),
            "kind": place.kind.plural,
        }
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return self._json(200, status | {"details": details | {"uid": gone["metadata"]["uid"]}})

    def _delete_all(self, request: Request, place: Place, *, dry_run: bool) -> Response:
        kept, _ = self.store.all(place.kind, place.namespace)
        chosen = [o for o in kept if matches(request, o)]
        for one in chosen:
            self.store.delete(
                place.kind, one["metadata"].get("namespace", ""), one["metadata"]["name"], dry_run=dry_run
            )
        metadata = {"resourceVersion": str(self.store.version)}
        head = {"kind": f"{place.kind.kind}List", "apiVersion": place.kind.api_version, "metadata": metadata}
        return self._json(200, head | {"items": chosen})

    # Watches

    def _watch(self, request: Request, place: Place) -> Response:  # noqa: C901  # the order of its parts is the point
        form = next((f for f in _forms(request)), Form())
        from_version = request.param("resourceVersion")
        initial = request.param("sendInitialEvents") == "true" or from_version in {"", "0"}
        loop, watch = asyncio.get_running_loop(), Watch()

        def listen(change: Change) -> None:
            loop.call_soon_threadsafe(watch.queue.put_nowait, change)

        with self.store.lock:
            kept, version = self.store.all(place.kind, place.namespace)
            past = [] if initial else self.store.since(place.kind, int(from_version))
            self.store.listeners.append(listen)
        self.watches.add(watch)
        first = [("ADDED", o) for o in kept if initial and matches(request, o, place.name)]

        async def stream() -> AsyncIterator[bytes]:  # noqa: C901  # as above
            writer = _Events(place.kind, form, request.param("includeObject"))
            try:
                for sort, one in first:
                    yield writer.event(sort, one)
                if request.param("sendInitialEvents") == "true":
                    yield writer.bookmark(version, initial=True)
                for change in past:
                    if event := _relevant(request, place, change):
                        yield writer.event(*event)
                seen = past[-1].version if past else version
                async with asyncio.timeout(float(request.param("timeoutSeconds", "1800"))):
                    while True:
                        change = await watch.queue.get()
                        if isinstance(change, Break):
                            raise BrokenOff(change)
                        if change is None:
                            return
                        if change.version > seen and (event := _relevant(request, place, change)):
                            yield writer.event(*event)
            except TimeoutError:
                if request.param("allowWatchBookmarks") == "true":
                    yield writer.bookmark(self.store.version)
            finally:
                self.store.listeners.remove(listen)
                self.watches.discard(watch)

        return Response(200, stream(), [("content-type", "application/json"), ("cache-control", "no-cache, private")])

    def end_watches(self, how: Break | None = None) -> None:
        """In the server's loop."""
        for watch in self.watches:
            watch.queue.put_nowait(how)


class _Events:
    """Lines of a watch."""

    def __init__(self, kind: Kind, form: Form, include: str) -> None:
        self._kind, self._form, self._include = kind, form, include
        self._first = True

    def event(self, sort: str, one: Object) -> bytes:
        shown: Object = _as_asked(self._kind, one)
        if self._form.sort == "Table":
            metadata = {"resourceVersion": one["metadata"]["resourceVersion"]}
            shown = table(
                self._kind, [one], metadata, version=self._form.version, include=self._include, head=self._first
            )
            self._first = False
        elif self._form.sort.startswith("PartialObjectMetadata"):
            shown = partial(one, self._form.version)
        return json.dumps({"type": sort, "object": shown}, separators=(",", ":")).encode() + b"\n"

    def bookmark(self, version: int, *, initial: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(version)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        shown = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        return json.dumps({"type": "BOOKMARK", "object": shown}, separators=(",", ":")).encode() + b"\n"


def _forms(request: Request) -> list[Form]:
    found = []
    for one in request.header("accept").split(","):
        if matched := _FORM.match(one.strip()):
            pairs = dict(p.split("=", 1) for p in (matched["parameters"] or "").split(";") if "=" in p)
            found.append(Form(pairs.get("as", ""), pairs.get("g", ""), pairs.get("v", "")))
    return found


def _watching(request: Request) -> bool:
    asked = request.params("watch")
    return bool(asked) and asked[0].lower() not in {"false", "0"}


def _key(one: Object) -> list[str]:
    return [one["metadata"].get("namespace", ""), one["metadata"]["name"]]


def _relevant(request: Request, place: Place, change: Change) -> tuple[str, Object] | None:
    if place.namespace and change.object["metadata"].get("namespace") != place.namespace:
        return None
    now = change.type != "DELETED" and matches(request, change.object, place.name)
    then = change.before is not None and matches(request, change.before, place.name)
    if change.type == "DELETED":
        return ("DELETED", change.object) if then else None
    if now:
        return ("MODIFIED" if then else "ADDED"), change.object
    return ("DELETED", change.object) if then else None


def _as_asked(kind: Kind, found: Object) -> Object:
    """An autoscaler in the version that was asked for; everything else as it is kept."""
    if kind.plural != "horizontalpodautoscalers" or kind.version != "v1":
        return found
    spec = dict(found["spec"])
    for metric in spec.pop("metrics", None) or ():
        spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
    return {**found, "apiVersion": "autoscaling/v1", "spec": spec}


__all__ = ["Api", "Place", "kind_of"]
