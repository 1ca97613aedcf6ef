"""Objects of the test API server: kept in memory, versioned, watched; and what the API says when they are wrong."""

import copy
import datetime as dt
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import kube_controllers
from tests.fakes.kube_kinds import Kind, kind_of
from tests.fakes.kube_patches import (
    BadPatch,
    Path,
    fields_v1,
    json_patch,
    merge_patch,
    owned,
    paths_of,
    same,
    strategic,
    value_at,
    without,
)

Object = dict[str, Any]


class ApiError(Exception):
    """An answer that is a failure."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.details = code, reason, details

    @property
    def status(self) -> Object:
        """The metav1.Status."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": str(self), "reason": self.reason}
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


def _details(kind: Kind, name: str, **more: Any) -> Object:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural, **more}


def not_found(kind: Kind, name: str) -> ApiError:
    """404."""
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def invalid(kind: Kind, name: str, place: str, why: str) -> ApiError:
    """422."""
    text = f'{kind.kind}{"." + kind.group if kind.group else ""} "{name}" is invalid: {place}: {why}'
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": place}]
    return ApiError(422, "Invalid", text, _details(kind, name, causes=causes) | {"kind": kind.kind})


def conflict(kind: Kind, name: str) -> ApiError:
    """409."""
    text = (
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", text, _details(kind, name))


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the history."""

    version: int
    type: str
    kind: Kind
    object: Object
    before: Object | None


@dataclass
class Store:
    """Everything, by resource, namespace and name. Every method may be called from any thread."""

    born: dt.datetime
    """Creation time of all objects: ages do not change while a test runs."""
    version: int = 100
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[tuple[str, str], Object]] = {}
        self.history: list[Change] = []
        self.oldest = self.version
        """Versions before this one are gone."""
        self.listeners: list[Callable[[Change], None]] = []
        self.made = 0

    @property
    def now(self) -> str:
        """The time that objects bear."""
        return self.born.strftime("%Y-%m-%dT%H:%M:%SZ")

    def suffix(self) -> str:
        """Five characters for a name: the same in every run, another at every call."""
        self.made += 1
        return uuid.uuid5(uuid.NAMESPACE_OID, str(self.made)).hex[:5]

    # Reading

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return a copy. Raises ApiError."""
        with self.lock:
            found = self.objects.get(kind.store, {}).get((namespace if kind.namespaced else "", name))
            if found is None:
                raise not_found(kind, name)
            return copy.deepcopy(found)

    def all(self, kind: Kind, namespace: str = "") -> tuple[list[Object], int]:
        """Return all in order of namespace and name, not copied, and the version at which this was so."""
        with self.lock:
            kept = self.objects.get(kind.store, {})
            return [kept[k] for k in sorted(kept) if not namespace or k[0] == namespace], self.version

    def since(self, kind: Kind, version: int) -> list[Change]:
        """Changes after a version. Raises ApiError (410) if they are no longer known."""
        with self.lock:
            if version < self.oldest:
                raise ApiError(410, "Expired", f"too old resource version: {version} ({self.oldest})")
            return [c for c in self.history if c.version > version and c.kind.store == kind.store]

    def compact(self) -> None:
        """Forget the history: watches from before get 410."""
        with self.lock:
            self.history.clear()
            self.version += 1
            self.oldest = self.version

    # Writing

    def create(self, kind: Kind, namespace: str, body: Object, *, manager: str = "", dry_run: bool = False) -> Object:
        """Return what is kept. Raises ApiError."""
        with self.lock:
            found = copy.deepcopy(body)
            meta = found.setdefault("metadata", {})
            if not meta.get("name"):
                if not meta.get("generateName"):
                    raise invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
                meta["name"] = meta["generateName"] + self.suffix()
            name = meta["name"]
            if kind.namespaced:
                meta["namespace"] = namespace
                if ("", namespace) not in self.objects.get(("", "namespaces"), {}):
                    raise not_found(kind_of("", "namespaces"), namespace)
            key = (namespace if kind.namespaced else "", name)
            if key in self.objects.get(kind.store, {}):
                text = f'{kind.qualified} "{name}" already exists'
                raise ApiError(409, "AlreadyExists", text, _details(kind, name))
            found = {"kind": kind.kind, "apiVersion": kind.api_version} | found
            meta["uid"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind.store}/{key}/{secrets.token_hex(4)}"))
            meta["creationTimestamp"] = self.now
            kube_controllers.default(kind, found, self)
            if "spec" in found and kind.plural not in {"namespaces", "services", "nodes"}:
                meta["generation"] = 1
            if manager:
                self._manage(found, manager, "Update", owned(found), kind)
            return self._put(kind, key, found, "ADDED", None, dry_run=dry_run)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        manager: str = "",
        operation: str = "Update",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Replace an object by what `change` makes of a copy of it. Raises ApiError."""
        with self.lock:
            before = self.get(kind, namespace, name)
            found = change(copy.deepcopy(before))
            meta, old = found.setdefault("metadata", {}), before["metadata"]
            if meta.get("resourceVersion") not in {None, "", old["resourceVersion"]}:
                raise conflict(kind, name)
            if meta.get("name", name) != name:
                raise ApiError(400, "BadRequest", "the name of the object does not match the name on the URL")
            meta |= {k: old[k] for k in ("name", "uid", "resourceVersion", "creationTimestamp")}
            if kind.namespaced:
                meta["namespace"] = namespace
            if "generation" in old:
                meta["generation"] = old["generation"]
            meta.setdefault("managedFields", old.get("managedFields", []))
            found = {"kind": kind.kind, "apiVersion": kind.api_version} | found
            if subresource == "status":
                found = {**before, "status": found.get("status", {}), "metadata": meta}
            kube_controllers.default(kind, found, self, before)
            if same(_bare(found), _bare(before)):
                return before
            if not same(found.get("spec"), before.get("spec")) and "generation" in old:
                meta["generation"] = old["generation"] + 1
            if manager and operation == "Update":
                changed = {p for p in owned(found) if not same(value_at(found, p), value_at(before, p))}
                self._manage(found, manager, operation, changed, kind)
            return self._put(
                kind, (namespace if kind.namespaced else "", name), found, "MODIFIED", before, dry_run=dry_run
            )

    def patch(self, kind: Kind, namespace: str, name: str, sort: str, patch: Any, **more: Any) -> Object:
        """Change an object by a patch of a content type. Raises ApiError."""
        by = {
            "application/json-patch+json": json_patch,
            "application/merge-patch+json": merge_patch,
            "application/strategic-merge-patch+json": merge_patch
            if "." in kind.group and "k8s" not in kind.group
            else strategic,
        }.get(sort)
        if by is None:
            raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - {sort}")
        try:
            return self.update(kind, namespace, name, lambda old: by(old, patch), **more)
        except BadPatch as wrong:
            raise invalid(kind, name, "patch", str(wrong)) from None

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, *, manager: str, force: bool, dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Server-side apply; returns the object and whether it is new. Raises ApiError."""
        with self.lock:
            body = copy.deepcopy(body)
            mine = owned(body)
            try:
                before = self.get(kind, namespace, name)
            except ApiError:
                body.setdefault("metadata", {})["name"] = name
                self._manage(body, manager, "Apply", mine, kind)
                return self.create(kind, namespace, body, dry_run=dry_run), True
            entries = before["metadata"].get("managedFields", [])
            clashes: list[tuple[str, Path]] = []
            for entry in entries:
                if (entry["manager"], entry["operation"]) == (manager, "Apply"):
                    continue
                theirs = set(paths_of(entry["fieldsV1"]))
                lost = {p for p in mine & theirs if not same(value_at(body, p), value_at(before, p))}
                clashes += [(entry["manager"], p) for p in sorted(lost)]
                entry["fieldsV1"] = fields_v1(theirs - lost)
            if clashes and not force:
                raise self._clash(clashes)
            old = next((e for e in entries if (e["manager"], e["operation"]) == (manager, "Apply")), None)
            kept_by_others = {p for e in entries if e is not old for p in paths_of(e["fieldsV1"])}

            def change(found: Object) -> Object:
                for path in set(paths_of(old["fieldsV1"])) - mine - kept_by_others if old else set[Path]():
                    without(found, path)
                found = strategic(found, body)
                found["metadata"]["managedFields"] = entries
                self._manage(found, manager, "Apply", mine, kind)
                return found

            return self.update(kind, namespace, name, change, operation="Apply", dry_run=dry_run), False

    def delete(self, kind: Kind, namespace: str, name: str, *, dry_run: bool = False) -> Object:
        """Return what was there. Raises ApiError."""
        with self.lock:
            before = self.get(kind, namespace, name)
            if dry_run:
                return before
            del self.objects[kind.store][namespace if kind.namespaced else "", name]
            self.version += 1
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._tell(Change(self.version, "DELETED", kind, gone, before))
            kube_controllers.deleted(kind, before, self)
            return before

    # Inside

    def _manage(self, found: Object, manager: str, operation: str, paths: set[Path], kind: Kind) -> None:
        if not paths:
            return
        entries = found["metadata"].setdefault("managedFields", [])
        mine = next((e for e in entries if (e["manager"], e["operation"]) == (manager, operation)), None)
        if mine is None:
            mine = {
                "manager": manager,
                "operation": operation,
                "apiVersion": kind.api_version,
                "fieldsType": "FieldsV1",
            }
            entries.append(mine)
        elif operation == "Update":
            paths |= set(paths_of(mine["fieldsV1"]))
        mine |= {"time": self.now, "fieldsV1": fields_v1(paths)}

    def _clash(self, clashes: list[tuple[str, Path]]) -> ApiError:
        said = [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{m}"', "field": "." + ".".join(p)}
            for m, p in clashes
        ]
        each = "\n".join(f"- {c['field']}" for c in said)
        if len(said) == 1:
            text = f"Apply failed with 1 conflict: {said[0]['message']}: {said[0]['field']}"
        else:
            text = f'Apply failed with {len(said)} conflicts: conflicts with "{clashes[0][0]}":\n{each}'
        return ApiError(409, "Conflict", text, {"causes": said})

    def _put(
        self, kind: Kind, key: tuple[str, str], found: Object, sort: str, before: Object | None, *, dry_run: bool
    ) -> Object:
        if dry_run:
            return found
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.objects.setdefault(kind.store, {})[key] = found
        self._tell(Change(self.version, sort, kind, found, before))
        kube_controllers.changed(kind, found, before, self)
        return copy.deepcopy(self.objects.get(kind.store, {}).get(key, found))

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        for listener in list(self.listeners):
            listener(change)


def _bare(found: Object) -> Object:
    meta = {k: v for k, v in found["metadata"].items() if k != "resourceVersion"}
    return {**found, "metadata": meta}
