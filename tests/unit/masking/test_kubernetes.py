"""Secrets are hidden by where they stand in objects of the Kubernetes API, and nothing else is."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.policies import policy_text

from holdpoint.domain.access import Protocol
from holdpoint.masking.kubernetes import LAST_APPLIED, NOTHING, Shape
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.policy.bundle import load_bundle

pytestmark = [pytest.mark.threat("T43")]

X = "[masked]"
XX = base64.b64encode(X.encode()).decode()
"""The mark where a type has bytes."""
PLAIN = "S3cr3t-pa55word-1"
CODED = base64.b64encode(PLAIN.encode()).decode()
MASKS = Path(__file__).parents[3] / "policies" / "masks"
SECRETS = Shape(is_secret=True)


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> Masker:
    return shipped(tmp_path_factory.mktemp("p"), "kubernetes-secrets")


def shipped(folder: Path, *names: str) -> Masker:
    policy = folder / "p.yaml"
    policy.write_text(policy_text("name: a, effect: allow, match: {verbs: [ping]}"), encoding="utf-8")
    bundle = load_bundle([policy, *MASKS.glob("*.yaml")], targets={"mcp": Protocol.MCP})
    return compile_masks([bundle.masks[n] for n in names], key=bytes(32))


def secret(**more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "db", "namespace": "prod"}, "data": {"password": CODED, "dsn": CODED}, **more}


def hides(masker: Masker, value: Any, shape: Shape = NOTHING) -> Any:
    """Mask, and check that nothing of the secret is left."""
    made = masker.kubernetes(value, shape).value
    said = json.dumps(made)
    assert PLAIN not in said
    assert CODED not in said
    return made


TYPED = {"kind": "Secret", "apiVersion": "v1", "type": "example.com/own"}


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        pytest.param({**TYPED, **secret()}, NOTHING, id="typed"),
        pytest.param(secret(), SECRETS, id="patch without kind and type"),
        pytest.param({"stringData": {"password": PLAIN}}, SECRETS, id="patch of stringData"),
        pytest.param({"kind": "SecretList", "items": [secret()]}, NOTHING, id="typed list"),
        pytest.param({"kind": "PodList", "items": [secret()]}, SECRETS, id="list that lies about its kind"),
        pytest.param({"kind": "List", "items": [{**TYPED, **secret()}]}, NOTHING, id="kind List"),
        pytest.param({"items": [secret(kind="Secret")]}, NOTHING, id="items alone"),
        pytest.param({"kind": "Table", "rows": [{"cells": ["db"], "object": secret()}]}, SECRETS, id="Table"),
        pytest.param({"kind": "Table", "rows": [{"object": {**TYPED, **secret()}}]}, NOTHING, id="Table, typed object"),
        pytest.param([secret(), secret()], SECRETS, id="several"),
        pytest.param({"$patch": [{"op": "add", "path": "/data/x", "value": CODED}]}, SECRETS, id="JSON patch"),
        pytest.param(
            {"$patch": [{"op": "add", "path": "/stringData", "value": {"a": PLAIN}}]}, SECRETS, id="whole data"
        ),
        pytest.param({"$patch": [{"op": "replace", "path": "", "value": secret()}]}, SECRETS, id="whole object"),
        pytest.param({"kind": "TokenRequest", "status": {"token": PLAIN}}, NOTHING, id="TokenRequest"),
        pytest.param({"status": {"token": PLAIN}}, Shape(is_token=True), id="asked for a token"),
        pytest.param({"kind": "TokenReview", "spec": {"token": PLAIN}}, NOTHING, id="TokenReview"),
    ],
)
def test_secret_is_hidden_in_every_shape(masker: Masker, value: Any, shape: Shape) -> None:
    hides(masker, value, shape)


def test_names_of_keys_and_all_that_is_no_data_stay(masker: Masker) -> None:
    assert hides(masker, secret(type="Opaque"), SECRETS) == {
        "metadata": {"name": "db", "namespace": "prod"},
        "data": {"password": XX, "dsn": XX},
        "type": "Opaque",
    }


APPLIED = json.dumps({"kind": "Secret", "apiVersion": "v1", "stringData": {"password": PLAIN}})


@pytest.mark.parametrize("applied", [APPLIED, APPLIED + "x", f"password={PLAIN}", json.dumps({"stringData": PLAIN})])
def test_annotation_of_a_secret_hides_what_was_applied(masker: Masker, applied: str) -> None:
    value = {"metadata": {"annotations": {LAST_APPLIED: applied, "other": "stays"}}}
    assert hides(masker, value, SECRETS)["metadata"]["annotations"]["other"] == "stays"
    partial = {"kind": "PartialObjectMetadata", **value}
    hides(masker, {"kind": "Table", "rows": [{"object": partial}]}, SECRETS)


def test_annotation_written_by_a_json_patch_is_hidden(masker: Masker) -> None:
    path = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
    hides(masker, {"$patch": [{"op": "add", "path": path, "value": APPLIED[:-1]}]}, SECRETS)


def test_managed_fields_stay_as_they_are(tmp_path: Path) -> None:
    fields = [{"manager": "kubectl", "fieldsV1": {"f:data": {".": {}, "f:password": {}, "f:token": {}}}}]
    value = {**TYPED, **secret()}
    value["metadata"]["managedFields"] = fields
    both = shipped(tmp_path, "kubernetes-secrets", "credentials")
    assert hides(both, value)["metadata"]["managedFields"] == fields


def test_release_of_helm_is_hidden_wherever_it_is_stored(masker: Masker) -> None:
    release = base64.b64encode(gzip.compress(PLAIN.encode())).decode()
    stored = {"kind": "ConfigMap", "metadata": {"name": "sh.helm.release.v1.web.v1"}, "data": {"release": release}}
    made = masker.kubernetes(stored, NOTHING).value
    assert made == {**stored, "data": {"release": X}}
    coded = base64.b64encode(release.encode()).decode()
    made = masker.kubernetes({"type": "helm.sh/release.v1", "data": {"release": coded}}, NOTHING).value
    assert made == {"type": "helm.sh/release.v1", "data": {"release": XX}}


def test_environment_is_hidden_by_the_names_of_its_variables(tmp_path: Path) -> None:
    both = shipped(tmp_path, "kubernetes-secrets", "credentials")
    env = [
        {"name": "DB_PASSWORD", "value": PLAIN},
        {"name": "LEVEL", "value": "info"},
        {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ]
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "main", "env": env}]}}
    made = hides(both, pod)["spec"]["containers"][0]["env"]
    assert made == [{"name": "DB_PASSWORD", "value": X}, *env[1:]]


def test_cells_are_hidden_by_the_names_of_their_columns(tmp_path: Path) -> None:
    both = shipped(tmp_path, "kubernetes-secrets", "credentials")
    columns = [{"name": n, "type": "string"} for n in ("Name", "Password", "Client Secret", "Age")]
    rows = [{"cells": ["a", PLAIN, PLAIN, "3d"], "object": {"kind": "PartialObjectMetadata"}}]
    made = hides(both, {"kind": "Table", "columnDefinitions": columns, "rows": rows})
    assert made["rows"][0]["cells"] == ["a", X, X, "3d"]
    later = Shape(columns=tuple(str(c["name"]) for c in columns))
    assert hides(both, {"kind": "Table", "columnDefinitions": None, "rows": rows}, later)["rows"] == made["rows"]


def test_certificates_and_their_requests_stay(masker: Masker) -> None:
    pem = (
        "-----BEGIN CERTIFICATE-----\nMIIBnjCCAUWgAwIBAgIUeVUWfd7B6GtkI3fLaUIUv93q1nwwCgYI\n-----END CERTIFICATE-----\n"
    )
    coded = base64.b64encode(pem.encode()).decode()
    value = {
        "kind": "CertificateSigningRequest",
        "spec": {"request": coded},
        "status": {"certificate": coded},
    }
    assert masker.kubernetes(value, NOTHING).count == 0
    assert masker.kubernetes({"kind": "ConfigMap", "data": {"ca.crt": pem}}, NOTHING).count == 0


def test_key_in_a_configmap_or_the_message_of_an_event_is_hidden(masker: Masker) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + CODED + "\n-----END PRIVATE KEY-----"
    hides(masker, {"kind": "ConfigMap", "data": {"tls.pem": key}})
    hides(masker, {"kind": "Event", "message": f"failed: {key}"})


def test_kubeconfig_in_a_configmap_is_hidden(tmp_path: Path) -> None:
    config = (
        f"apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    token: {PLAIN}\n    client-key-data: {CODED}\n"
    )
    both = shipped(tmp_path, "kubernetes-secrets", "credentials")
    made = hides(both, {"kind": "ConfigMap", "data": {"kubeconfig": config}})
    assert "name: a" in made["data"]["kubeconfig"]


def test_marks_are_bytes_where_a_type_has_bytes(masker: Masker) -> None:
    key = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----").decode()
    made: Any = masker.kubernetes({"kind": "ConfigMap", "binaryData": {"k": key, "b": "/w=="}}, NOTHING).value
    assert made["binaryData"] == {"k": XX, "b": "/w=="}
    made = masker.kubernetes({**TYPED, "data": {"a": ""}, "stringData": {"b": PLAIN}}, NOTHING).value
    assert (made["data"], made["stringData"]) == ({"a": X}, {"b": X})


def test_marks_are_bytes_whatever_rule_hides_them(tmp_path: Path) -> None:
    value: Any = {**TYPED, "data": {"password": CODED, "user": "YWxpY2U="}}
    made: Any = shipped(tmp_path, "credentials").kubernetes(value, SECRETS).value
    assert base64.b64decode(made["data"]["password"], validate=True).startswith(b"[masked")
    assert made["data"]["user"] == "YWxpY2U="


def test_what_is_given_is_never_changed(masker: Masker) -> None:
    value = {**TYPED, **secret()}
    before = json.dumps(value)
    masker.kubernetes(value, SECRETS)
    assert json.dumps(value) == before


def test_sealed_secret_tells_equal_values_and_nothing_more(masker: Masker) -> None:
    made: Any = masker.sealed_kubernetes({"data": {"a": CODED, "b": CODED, "c": "eA=="}}, SECRETS)
    data = made["data"]
    assert data["a"] == data["b"] != data["c"]
    assert CODED not in json.dumps(made)


def test_masker_without_secrets_leaves_them(tmp_path: Path) -> None:
    del tmp_path
    value = {**TYPED, **secret()}
    assert compile_masks([], key=bytes(32)).kubernetes(value, SECRETS).value is value
