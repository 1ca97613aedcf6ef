"""OpenAPI documents of the test API server, made of protobuf descriptors: names and types, no descriptions."""

import functools
import hashlib
import json
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tests.fakes.kube_kinds import Kind, kinds
from tests.fakes.kube_protobuf import _INLINE, descriptor

Object = dict[str, Any]
_STRINGS = {"Time", "MicroTime", "Quantity"}
_NUMBERS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32}
_MERGED = {"containers": "name", "volumes": "name", "env": "name", "initContainers": "name", "conditions": "type"}


def v3(which: str) -> Object | None:
    """The index (`which` is empty) or the document of a group's version, `api/v1` or `apis/GROUP/VERSION`."""
    names = {("apis/" + k.api_version) if k.group else f"api/{k.version}" for k in kinds().values()}
    if not which:
        paths = {n: {"serverRelativeURL": f"/openapi/v3/{n}?hash={_hash(n)}"} for n in sorted(names)}
        return {"paths": paths}
    return _document(which) if which in names else None


def v2() -> Object:
    """Enough for a client that asks for the old form."""
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}, "definitions": {}}


def _hash(name: str) -> str:
    return hashlib.sha256(json.dumps(_document(name), sort_keys=True).encode()).hexdigest().upper()


@functools.cache
def _document(name: str) -> Object:
    schemas: Object = {}
    paths: Object = {}
    for kind in kinds().values():
        if ("apis/" + kind.api_version if kind.group else f"api/{kind.version}") != name:
            continue
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        reference = _reference(kind, gvk, schemas)
        base = f"/{name}/{'namespaces/{namespace}/' if kind.namespaced else ''}{kind.plural}"
        parameters = [
            {"name": n, "in": "query", "schema": {"type": "string"}}
            for n in ("dryRun", "fieldManager", "fieldValidation")
        ]
        answer = {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": reference}}}}}
        common = {"x-kubernetes-group-version-kind": gvk, "parameters": parameters, "responses": answer}
        verbs = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
        paths[base + "/{name}"] = {
            m: common | {"x-kubernetes-action": "put" if m == "put" else m} for m, v in verbs.items() if v in kind.verbs
        }
        paths[base] = {
            m: common | {"x-kubernetes-action": a}
            for m, v, a in (("get", "list", "list"), ("post", "create", "post"))
            if v in kind.verbs
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _reference(kind: Kind, gvk: Object, schemas: Object) -> str:
    found = descriptor(kind.api_version, kind.kind)
    if found is None:
        name = f"org.example.{kind.group}.{kind.version}.{kind.kind}"
        schemas[name] = {
            "type": "object",
            "x-kubernetes-group-version-kind": [gvk],
            "x-kubernetes-preserve-unknown-fields": True,
        }
        return f"#/components/schemas/{name}"
    name = _schema(found, schemas)
    own = schemas[name]
    own["x-kubernetes-group-version-kind"] = [gvk]
    own["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return f"#/components/schemas/{name}"


def _schema(message: Descriptor, schemas: Object) -> str:
    name = "io." + message.full_name
    if name not in schemas:
        schemas[name] = found = {"type": "object", "description": message.name, "properties": {}}
        found["properties"] = _properties(message, schemas)
    return name


def _properties(message: Descriptor, schemas: Object) -> Object:
    found: Object = {}
    for field in message.fields:
        if field.name in _INLINE and field.message_type is not None:
            found |= _properties(field.message_type, schemas)
        else:
            found[field.json_name] = _property(field, schemas)
    return found


def _property(field: FieldDescriptor, schemas: Object) -> Object:
    of = field.message_type
    if of is not None and of.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _plain(of.fields_by_name["value"], schemas)}
    if field.is_repeated:
        found: Object = {"type": "array", "items": _plain(field, schemas)}
        if field.name in _MERGED:
            key = _MERGED[field.name]
            found |= {"x-kubernetes-patch-merge-key": key, "x-kubernetes-patch-strategy": "merge"}
        return found
    return _plain(field, schemas)


def _plain(field: FieldDescriptor, schemas: Object) -> Object:
    if field.message_type is not None:
        name = field.message_type.name
        if name in _STRINGS:
            return {"type": "string"}
        if name == "IntOrString":
            return {"type": "string", "format": "int-or-string"}
        if name in {"RawExtension", "FieldsV1", "JSON"}:
            return {"type": "object"}
        if name in {"ExtraValue", "Verbs"}:
            return {"type": "array", "items": {"type": "string"}}
        return {"allOf": [{"$ref": f"#/components/schemas/{_schema(field.message_type, schemas)}"}], "default": {}}
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _NUMBERS:
        return {"type": "integer", "format": "int64"}
    return {"type": "string"}
