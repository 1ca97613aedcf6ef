"""Ways to make the API server say what stands in a Secret where no mask looks for it."""

import json
from base64 import b64encode

import pytest

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile
from holdpoint.domain.values import JsonValue
from holdpoint.masking.kubernetes import LAST_APPLIED, Shape
from holdpoint.masking.masker import compile_masks
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.decode import decode

CODED = b64encode(b"hunter2-Zx9").decode()
APPLIED = json.dumps({"data": {"foo": CODED}})
"""As no kubectl writes it: it does not say that it is a Secret."""
QUOTED = (
    f' "" is invalid: patch: Invalid value: "{{\\"data\\":{{\\"foo\\":\\"{CODED}\\"}},\\"kind\\":7}}": v1.Secret.Data: '
    "base64Codec: invalid input, error found in #10 byte of ...|TI=,zz:5},kind:|..., bigger context "
    f'...|ta":{{"foo":"{CODED}","n":"MTI="|...'
)
MASKS = compile_masks(
    [
        MaskProfile(
            "secrets",
            keys=(KeyMask("*password", MaskAction.REDACT),),
            detectors=(DetectorMask("kubernetes-secret"),),
        )
    ],
    key=b"k" * 32,
)


def failure(reason: str, message: str) -> JsonValue:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]},
        "code": 422,
    }


@pytest.mark.threat("T43")
@pytest.mark.parametrize("reason", ["Invalid", "BadRequest", "InternalError", "Unheard", ""])
def test_error_that_quotes_a_stored_secret_says_nothing_of_it(reason):
    shown = json.dumps(MASKS.kubernetes(failure(reason, QUOTED), Shape(is_secret=True)).value)
    assert CODED not in shown
    assert "is invalid: [masked]" in shown


@pytest.mark.threat("T43")
def test_error_that_quotes_pieces_of_any_object_says_none_of_them():
    message = 'patch: v1.EnvVar.Name: ReadString, error found in #10 byte of ...|DB_PASSWORD","value":"hunter2-Zx9"|...'
    shown = MASKS.kubernetes(failure("Invalid", message), Shape()).value
    assert "hunter2" not in json.dumps(shown)
    assert "patch: v1.EnvVar.Name: ReadString: [masked]" in json.dumps(shown)


@pytest.mark.threat("T43")
@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("NotFound", 'secrets "db" not found'),
        ("Forbidden", 'secrets "db" is forbidden: User "alice" cannot get resource "secrets" in API group ""'),
        ("Conflict", 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data.foo'),
    ],
)
def test_error_that_quotes_nothing_is_shown_whole(reason, message):
    given = failure(reason, message)
    assert MASKS.kubernetes(given, Shape(is_secret=True)).value == given


@pytest.mark.threat("T43")
def test_bodies_that_look_like_errors_are_told_apart_when_they_are_approved():
    first, second = (MASKS.sealed_kubernetes(failure("", f"a: {n}"), Shape(is_secret=True)) for n in range(2))
    assert first != second


@pytest.mark.threat("T43")
@pytest.mark.parametrize("op", ["copy", "move"])
@pytest.mark.parametrize("source", ["/data/foo", "/data", "", "/metadata/annotations"])
@pytest.mark.parametrize("resource", ["secrets/db", "configmaps/app"])
def test_patch_that_takes_a_value_past_its_mask_is_refused(op, source, resource):
    body = json.dumps([{"op": op, "from": source, "path": "/metadata/annotations/leak"}]).encode()
    with pytest.raises(Undecodable, match="does not show"):
        decode(
            method="PATCH",
            path=f"/api/v1/namespaces/shop/{resource}?dryRun=All",
            headers=[(b"content-type", b"application/json-patch+json")],
            body=body,
        )


@pytest.mark.threat("T43")
@pytest.mark.parametrize("operation", [{"op": "replace", "value": "X"}, {"op": "add", "value": "X"}, {"op": "remove"}])
@pytest.mark.parametrize("place", ["/spec/template/spec/containers/0/env/1/name", "/spec/containers/-1/env/0/name"])
def test_patch_that_renames_a_variable_past_its_mask_is_refused(operation, place):
    body = json.dumps([{**operation, "path": place}]).encode()
    with pytest.raises(Undecodable, match="renames a variable"):
        decode(
            method="PATCH",
            path="/apis/apps/v1/namespaces/shop/deployments/web",
            headers=[(b"content-type", b"application/json-patch+json")],
            body=body,
        )


@pytest.mark.threat("T43")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/metadata", {"annotations": {LAST_APPLIED: APPLIED}}),
        ("/metadata/annotations", {LAST_APPLIED: APPLIED}),
        (f"/metadata/annotations/{LAST_APPLIED.replace('/', '~1')}", APPLIED),
        ("", {"metadata": {"annotations": {LAST_APPLIED: APPLIED}}}),
    ],
)
def test_patch_of_a_secrets_annotations_is_kept_without_what_was_applied(path, value):
    patch: JsonValue = {"$patch": [{"op": "add", "path": path, "value": value}]}
    assert CODED not in json.dumps(MASKS.sealed_kubernetes(patch, Shape(is_secret=True)))
