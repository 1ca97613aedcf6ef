"""Reads protobuf bodies of Kubernetes by google.protobuf and the API's own descriptors: a second way, not ours.

The descriptors (kube_data/messages.binpb.gz) are what protoc makes of k8s.io/api's generated.proto files.
"""

import base64
import datetime as dt
import functools
import gzip
import json
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
_INLINE = {
    "volumeSource",
    "persistentVolumeSource",
    "localObjectReference",
    "handler",
    "ingressRuleValue",
    "ephemeralContainerCommon",
    "secretReference",
}
"""Fields whose Go structs are embedded: their fields stand beside the others in JSON."""
_ZEROES_KEPT = {"replicas", "value", "minReplicas", "terminationGracePeriodSeconds", "gracePeriodSeconds", "runAsUser"}
_PACKAGES = {
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "networking.k8s.io": "networking",
    "authentication.k8s.io": "authentication",
    "authorization.k8s.io": "authorization",
    "scheduling.k8s.io": "scheduling",
    "coordination.k8s.io": "coordination",
    "certificates.k8s.io": "certificates",
    "storage.k8s.io": "storage",
}


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    packed = (Path(__file__).parent / "kube_data" / "messages.binpb.gz").read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(gzip.decompress(packed))
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def descriptor(api_version: str, kind: str) -> Descriptor | None:
    """Return the message of a kind, or None where the descriptors lack it."""
    group, _, version = api_version.rpartition("/")
    names = [f"k8s.io.api.{_PACKAGES.get(group, group)}.{version}.{kind}"]
    if kind in {"DeleteOptions", "CreateOptions", "PatchOptions", "UpdateOptions", "Status"}:
        names.append(_META + kind)
    for name in names:
        try:
            return _pool().FindMessageTypeByName(name)
        except KeyError:
            continue
    return None


def named(name: str) -> Descriptor:
    """Return the message of a full name. Raises KeyError."""
    return _pool().FindMessageTypeByName(name)


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in an envelope. Raises ValueError for what is none, LookupError for an unknown kind."""
    if not body.startswith(MAGIC):
        raise ValueError("no protobuf of Kubernetes")
    unknown = _parse(named("k8s.io.apimachinery.pkg.runtime.Unknown"), body[len(MAGIC) :])
    meta = unknown.typeMeta  # type: ignore[attr-defined]
    found = descriptor(meta.apiVersion, meta.kind)
    if found is None:
        raise LookupError(f"{meta.apiVersion} {meta.kind}")
    plain = _plain(_parse(found, unknown.raw))  # type: ignore[attr-defined]
    return {"apiVersion": meta.apiVersion, "kind": meta.kind, **plain}


def _parse(message: Descriptor, data: bytes) -> Message:
    parsed: Message = message_factory.GetMessageClass(message)()
    parsed.ParseFromString(data)
    return parsed


def _plain(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        plain = _field(field, value)
        if field.name in _INLINE and isinstance(plain, dict):
            found.update(plain)
        elif not _dropped(field, plain):
            found[field.json_name] = plain
    return found


def _dropped(field: FieldDescriptor, plain: Any) -> bool:
    if field.name == "creationTimestamp" or (field.name in {"status", "strategy", "resources"} and not plain):
        return True
    return plain in ("", False) and plain is not None and field.name not in _ZEROES_KEPT


def _field(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {k: _value(of, v) for k, v in value.items()}
    if field.is_repeated:
        return [_value(field, v) for v in value]
    return _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is None:
        return base64.b64encode(value).decode() if field.type == FieldDescriptor.TYPE_BYTES else value
    match field.message_type.name:
        case "Time" | "MicroTime":
            at = dt.datetime.fromtimestamp(value.seconds, dt.UTC)
            return at.strftime("%Y-%m-%dT%H:%M:%SZ") if value.seconds or value.nanos else None
        case "Quantity":
            return value.string
        case "IntOrString":
            return value.strVal if value.type else value.intVal
        case "RawExtension" | "FieldsV1":
            return json.loads(getattr(value, "raw", None) or getattr(value, "Raw", b"") or b"null")
        case "ExtraValue" | "Verbs":
            return list(value.items)
    return _plain(value)
