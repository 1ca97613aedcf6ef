"""Bodies that Kubernetes' own code wrote, beside the JSON that it wrote of the same objects.

`objects-1.36.jsonl.xz` holds the round-trip data of k8s.io/api 1.36 (Apache-2.0): every kind with every field set.
`creates.jsonl` holds what kubectl 1.32 and 1.36 sent, and what a kube-apiserver 1.36 answered.
"""

import json
import lzma
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from holdpoint.protocols.kubernetes import field_tables
from holdpoint.protocols.kubernetes.protobuf import decode

DATA = Path(__file__).parents[3] / "data" / "kubernetes"
OBJECTS = [json.loads(line) for line in lzma.decompress((DATA / "objects-1.36.jsonl.xz").read_bytes()).splitlines()]
CREATES = [json.loads(line) for line in (DATA / "creates.jsonl").read_text(encoding="utf-8").splitlines()]

COMPUTED = {
    ("TokenRequest", "spec", "audiences"),
    ("TokenRequest", "status", "token"),
    ("TokenRequest", "status", "expirationTimestamp"),
    ("SelfSubjectAccessReview", "status", "allowed"),
    ("SelfSubjectRulesReview", "spec", "namespace"),
    ("SelfSubjectRulesReview", "status", "resourceRules"),
    ("SelfSubjectRulesReview", "status", "nonResourceRules"),
}
"""What the server works out or leaves out, whatever it was sent."""


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in OBJECTS])
def test_every_field_of_every_kind_reads_as_the_json_of_the_same_object(row: dict[str, Any]) -> None:
    decoded = decode(b64decode(row["body"]))
    assert decoded.object == row["object"]
    assert decoded.known
    assert decoded.unknown == ()


def test_the_data_has_every_kind_that_the_tables_have() -> None:
    shown = {(row["object"]["apiVersion"], row["object"]["kind"]) for row in OBJECTS}
    known = {
        (version, kind)
        for version, package in field_tables.versions().items()
        for kind in field_tables.kinds(package)
        if not kind.endswith("List") and package not in {"meta.v1", "meta.v1beta1", "imagepolicy.v1alpha1"}
    }
    assert {kind for _, kind in known - shown} == {"SelfSubjectReview"}
    assert "SelfSubjectReview" in {row["answer"]["kind"] for row in CREATES}


def test_the_reference_names_every_kind() -> None:
    page = (Path(__file__).parents[4] / "docs/reference/kubernetes-protobuf.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))
    for version, package in field_tables.versions().items():
        known = field_tables.kinds(package)
        kinds = {kind for kind in known if not (kind.endswith("List") and kind[:-4] in known)}
        assert set(re.findall(r"`(\w+)`", shown.pop(version, ""))) == kinds, version
    assert all("." not in version and "/" not in version for version in shown)


def different(sent: Any, answered: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Places of what was sent that the answer lacks or has otherwise."""
    if isinstance(sent, dict) and isinstance(answered, dict):
        return [
            place
            for key, value in sent.items()
            for place in (different(value, answered[key], (*path, key)) if key in answered else [(*path, key)])
        ]
    if isinstance(sent, list) and isinstance(answered, list) and len(sent) == len(answered):
        pairs = enumerate(zip(sent, answered, strict=True))
        return [place for i, (a, b) in pairs for place in different(a, b, (*path, str(i)))]
    return [] if sent == answered and type(sent) is type(answered) else [path]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row['client']}{row['path']}") for row in CREATES])
def test_what_kubectl_sent_is_in_what_the_server_answered(row: dict[str, Any]) -> None:
    decoded = decode(b64decode(row["body"]))
    kind = decoded.object["kind"]
    assert isinstance(kind, str)
    assert decoded.known
    assert set(different(decoded.object, row["answer"], (kind,))) <= COMPUTED


def test_kubectl_sent_21_kinds() -> None:
    assert len({row["answer"]["kind"] for row in CREATES}) == 21
