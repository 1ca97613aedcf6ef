import json
from base64 import b64encode
from pathlib import Path

import pytest
from tests.fakes.mask_profiles import shipped

from holdpoint.domain.mask import KeyMask, MaskProfile, PathMask
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.strict import loads

DATA = Path(__file__).parents[2] / "data" / "masking"
X = "[masked]"


def recorded(name: str) -> JsonObject:
    """A message of kubernetes-mcp-server, as it was on the wire. What is secret in it was invented."""
    value = loads((DATA / f"{name}.json").read_bytes(), exact=False)
    assert isinstance(value, dict)
    return value


def masker(*paths: str) -> Masker:
    keys = tuple(KeyMask(k) for k in ("*token", "password", "id", "method", "jsonrpc", "type"))
    return compile_masks([MaskProfile("p", paths=tuple(map(PathMask, paths)), keys=keys[:5])], key=bytes(32))


def result(value: JsonValue) -> JsonObject:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


@pytest.mark.parametrize(
    ("name", "secret", "count", "keeps"),
    [
        pytest.param("secret-get", "UzNjcjN0LW1jcC0wMDA1", 2, "uid: a2e521e3", id="secret-as-yaml-and-structured"),
        pytest.param("secret-created", "UzNjcjN0LW1jcC0wMDA1", 1, "f:password: {}", id="secret-after-create"),
        pytest.param("secret-apply-request", "S3cr3t-mcp-0005", 1, "name: from-mcp", id="flow-yaml-in-an-argument"),
        pytest.param("kubeconfig", "admin-token-0001", 1, "server: https://127.0.0.1:7443", id="kubeconfig"),
    ],
)
def test_what_a_kubernetes_server_prints_is_masked(name: str, secret: str, count: int, keeps: str) -> None:
    message = recorded(name)
    masked = shipped("credentials", "kubernetes-secrets").mcp(message)
    text = json.dumps(masked.value)
    assert secret in json.dumps(message)
    assert secret not in text
    assert masked.count == count
    assert keeps in text


@pytest.mark.parametrize("name", ["namespaces-list", "pod-get", "secrets-list", "tools-list"])
def test_what_holds_no_secret_stays_as_it_is(name: str) -> None:
    message = recorded(name)
    assert shipped("credentials", "kubernetes-secrets").mcp(message).value is message


def test_envelope_stays_whatever_the_keys_say() -> None:
    message: JsonValue = {
        "jsonrpc": "2.0",
        "id": "a",
        "method": "m",
        "params": {"_meta": {"progressToken": "t", "token": "x"}},
    }
    assert masker().mcp(message).value == {
        "jsonrpc": "2.0",
        "id": "a",
        "method": "m",
        "params": {"_meta": {"progressToken": "t", "token": X}},
    }


def test_container_in_place_of_an_envelope_field_is_masked() -> None:
    assert masker().mcp({"jsonrpc": "2.0", "id": {"password": "x"}}).value == {"jsonrpc": "2.0", "id": {"password": X}}


def test_progress_token_deeper_inside_is_a_key_like_any_other() -> None:
    assert masker().mcp(result({"a": {"progressToken": "x"}})).value == result({"a": {"progressToken": X}})


def test_batch_is_masked_message_by_message() -> None:
    batch: JsonValue = [result({"password": "x"}), result({})]
    assert masker().mcp(batch).value == [result({"password": X}), result({})]


@pytest.mark.parametrize("value", ["text", 1, None, [], [[1]]], ids=str)
def test_what_is_no_message_is_masked_as_a_value(value: JsonValue) -> None:
    assert masker().mcp(value).value == value


@pytest.mark.parametrize(
    ("path", "message", "expected"),
    [
        pytest.param(
            "$.a", result({"structuredContent": {"a": 1}}), result({"structuredContent": {"a": X}}), id="structured"
        ),
        pytest.param(
            "$.a",
            {"method": "tools/call", "params": {"arguments": {"a": 1}}},
            {"method": "tools/call", "params": {"arguments": {"a": X}}},
            id="arguments",
        ),
        pytest.param("$.result.a", result({"a": 1}), result({"a": X}), id="whole-message"),
        pytest.param("$.a", result({"a": 1}), result({"a": 1}), id="result-is-no-root"),
        pytest.param(
            "$.a",
            result({"content": [{"type": "text", "text": '{"a":1}'}]}),
            result({"content": [{"type": "text", "text": '{"a":"[masked]"}'}]}),
            id="json-text",
        ),
    ],
)
def test_root_of_a_path_is_the_message_and_each_document_in_it(
    path: str, message: JsonValue, expected: JsonValue
) -> None:
    assert masker(path).mcp(message).value == expected


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "password": {"type": "string", "description": "of the account", "default": "hunter2", "enum": ["hunter2", "b"]},
        "nested": {"type": "object", "properties": {"token": {"type": "string", "const": "hunter2"}}},
    },
    "required": ["password"],
}
MASKED_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "password": {"type": "string", "description": "of the account", "default": X, "enum": [X, X]},
        "nested": {"type": "object", "properties": {"token": {"type": "string", "const": X}}},
    },
    "required": ["password"],
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            result({"tools": [{"name": "login", "inputSchema": SCHEMA, "outputSchema": SCHEMA}]}),
            result({"tools": [{"name": "login", "inputSchema": MASKED_SCHEMA, "outputSchema": MASKED_SCHEMA}]}),
            id="tools-list",
        ),
        pytest.param(
            {"method": "elicitation/create", "params": {"requestedSchema": SCHEMA}},
            {"method": "elicitation/create", "params": {"requestedSchema": MASKED_SCHEMA}},
            id="elicitation",
        ),
        pytest.param(
            result({"inputRequests": {"a": {"params": {"requestedSchema": SCHEMA}}}}),
            result({"inputRequests": {"a": {"params": {"requestedSchema": MASKED_SCHEMA}}}}),
            id="input-requests",
        ),
    ],
)
def test_schema_keeps_its_field_names_and_loses_its_samples(message: JsonValue, expected: JsonValue) -> None:
    assert masker().mcp(message).value == expected


def test_schema_elsewhere_is_data() -> None:
    message = result({"structuredContent": {"inputSchema": {"properties": {"password": "hunter2"}}}})
    assert masker().mcp(message).value == result(
        {"structuredContent": {"inputSchema": {"properties": {"password": X}}}}
    )


def test_key_beside_the_fields_of_a_schema_is_masked() -> None:
    message = result({"tools": [{"inputSchema": {"password": "hunter2", "properties": {}}}]})
    assert "hunter2" not in str(masker().mcp(message).value)


def blob(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({"uri": "u", "blob": blob(b"a: b\n")}, blob(b"a: b\n"), id="clean-text"),
        pytest.param({"uri": "u", "blob": blob(b"password: x\n")}, blob(b'password: "[masked]"\n'), id="text"),
        pytest.param({"uri": "u", "blob": blob(b'{"password":1}')}, blob(b'{"password":"[masked]"}'), id="json"),
        pytest.param(
            {"uri": "u", "mimeType": "application/zip", "blob": blob(b"PK\xff")}, blob(b"[masked]"), id="binary"
        ),
        pytest.param({"uri": "u", "mimeType": "image/png", "blob": blob(b"\x89PNG")}, blob(b"\x89PNG"), id="picture"),
        pytest.param({"uri": "u", "blob": "!"}, blob(b"[masked]"), id="no-base64"),
    ],
)
def test_blob_is_masked_as_text_or_withheld(item: JsonObject, expected: str) -> None:
    for message in (
        result({"contents": [item]}),
        result({"content": [{"type": "resource", "resource": item}]}),
        result({"messages": [{"role": "user", "content": {"type": "resource", "resource": item}}]}),
        # What a task came to, polled for or told.
        result({"taskId": "t", "result": {"content": [{"type": "resource", "resource": item}]}}),
        {"jsonrpc": "2.0", "method": "notifications/tasks", "params": {"result": {"contents": [item]}}},
    ):
        masked = masker().mcp(message)
        assert f"'blob': '{expected}'" in str(masked.value)
        assert masker().mcp(masked.value).count == 0


def test_error_of_a_server_is_masked_too() -> None:
    message: JsonValue = {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32000, "message": "bad password: hunter2", "data": {"token": 1}},
    }
    masked = masker().mcp(message)
    assert masked.value == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32000, "message": f'bad password: "{X}"', "data": {"token": X}},
    }
