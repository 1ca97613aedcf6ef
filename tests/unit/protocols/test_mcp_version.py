import pytest

from holdpoint.protocols import mcp, strict_json
from holdpoint.protocols.call import Call, Undecodable

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {VERSION: "2026-07-28", CAPABILITIES: {}}
MODERN = {
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "t",
}


def post(headers, method="tools/call", params=None, **message) -> Call:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "t", **(params or {})}, **message}
    pairs = [(k.encode(), v.encode()) for k, v in headers.items() if v is not None]
    return mcp.decode(method="POST", headers=pairs, body=strict_json.dumps(body))


def modern(changed=None, method="tools/call", meta=None, **params) -> Call:
    headers = {**MODERN, **(changed or {})}
    return post(headers, method, {"_meta": META if meta is None else meta, **params})


def refused(decode, *args, **kwargs) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        decode(*args, **kwargs)
    return caught.value


def test_a_modern_request_that_agrees_with_itself_is_decoded():
    assert modern().protocol_version == "2026-07-28"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"Mcp-Method": None}, id="no method"),
        pytest.param({"Mcp-Method": "tools/list"}, id="another method"),
        pytest.param({"Mcp-Method": "Tools/Call"}, id="another case of the method"),
        pytest.param({"Mcp-Name": None}, id="no name"),
        pytest.param({"Mcp-Name": "other"}, id="another name"),
        pytest.param({"Mcp-Name": "T"}, id="another case of the name"),
        pytest.param({"Mcp-Name": "=?base64?b3RoZXI=?="}, id="another name, encoded"),
        pytest.param({"Mcp-Name": "=?base64?!!?="}, id="broken base64"),
        pytest.param({"Mcp-Name": "=?base64?dB==?="}, id="base64 that is not canonical"),
        pytest.param({"Mcp-Name": "=?base64?/w==?="}, id="base64 of bad UTF-8"),
        pytest.param({"Mcp-Name": "=?BASE64?dA==?="}, id="marker in another case"),
        pytest.param({"MCP-Protocol-Version": "2025-11-25"}, id="another version"),
        pytest.param({"MCP-Protocol-Version": None}, id="no version"),
        pytest.param({"MCP-Protocol-Version": ""}, id="empty version"),
    ],
)
def test_headers_that_disagree_with_a_modern_body_are_refused(changed):
    error = refused(modern, changed)
    assert error.status == 400
    assert error.code == (-32022 if changed.get("MCP-Protocol-Version") == "" else -32020)
    assert error.request_id == 1


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("t", "=?base64?dA==?="),
        ("Zürich", "=?base64?WsO8cmljaA==?="),
        ("=?base64?dA==?=", "=?base64?PT9iYXNlNjQ/ZEE9PT89?="),
        ("a b", "a b"),
    ],
    ids=["needlessly", "not ASCII", "a name that looks encoded", "blank inside"],
)
def test_an_encoded_name_is_decoded_before_it_is_compared(name, header):
    assert modern({"Mcp-Name": header}, name=name).arguments == {}


def test_a_name_that_looks_encoded_is_not_taken_literally():
    assert refused(modern, {"Mcp-Name": "=?base64?dA==?="}, name="=?base64?dA==?=").code == -32020


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("prompts/get", {"name": "p"}, "p"),
        ("resources/read", {"uri": "a:b"}, "a:b"),
        ("tasks/get", {"taskId": "x"}, "x"),
        ("tasks/get", {"taskId": "x"}, None),
        ("tools/list", {}, None),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}, None),
    ],
)
def test_each_method_has_its_own_name(method, params, name):
    assert modern({"Mcp-Method": method, "Mcp-Name": name}, method, **params).action.verb == method


@pytest.mark.parametrize("method", ["tools/list", "vendor/thing"])
def test_a_name_for_a_method_that_has_none_is_refused(method):
    assert refused(modern, {"Mcp-Method": method}, method).code == -32020


@pytest.mark.parametrize(
    "meta",
    [{}, {VERSION: "2026-07-28"}, {CAPABILITIES: {}}, {**META, CAPABILITIES: None}],
    ids=["nothing", "no capabilities", "no version", "null capabilities"],
)
def test_missing_meta_is_refused_with_invalid_params(meta):
    error = refused(modern, meta=meta)
    assert (error.code, error.status) == (-32602, 400)


@pytest.mark.parametrize("version", [None, 20260728, "2026-07-29", " 2026-07-28"], ids=repr)
def test_another_version_in_the_body_is_refused(version):
    assert refused(modern, meta={**META, VERSION: version}).code == -32020


@pytest.mark.parametrize("version", ["v999", "2024-11-05", "2026-07-29", "2025-11-25, 2026-07-28"])
def test_an_unsupported_version_is_refused_with_what_is_supported(version):
    error = refused(modern, {"MCP-Protocol-Version": version})
    assert (error.code, error.status) == (-32022, 400)
    supported = ["2026-07-28"]  # those with `initialize` are agreed on by it
    assert error.data == {"supported": supported, "requested": version}


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe"])
def test_methods_that_2026_dropped_are_not_found(method):
    error = refused(modern, {"Mcp-Method": method, "Mcp-Name": None}, method)
    assert (error.code, error.status) == (-32601, 404)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_2026_has_no_sessions(method):
    error = refused(mcp.decode, method=method, headers=[(b"MCP-Protocol-Version", b"2026-07-28")], body=b"")
    assert (error.status, error.allow) == (405, "POST")


def test_a_client_of_2026_sends_no_responses():
    headers = [(k.encode(), v.encode()) for k, v in MODERN.items()]
    error = refused(mcp.decode, method="POST", headers=headers, body=b'{"jsonrpc":"2.0","id":1,"result":{}}')
    assert (error.code, error.status) == (-32600, 400)


def test_a_modern_notification_needs_no_mirror_headers():
    headers = [(b"content-type", b"application/json"), (b"mcp-protocol-version", b"2026-07-28")]
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled"}'
    assert mcp.decode(method="POST", headers=headers, body=body).is_notification
    assert (
        refused(mcp.decode, method="POST", headers=[*headers, (b"mcp-method", b"tools/call")], body=body).code == -32020
    )


LEGACY = {"Content-Type": "application/json"}


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
def test_legacy_versions_come_from_the_header(version):
    assert post({**LEGACY, "MCP-Protocol-Version": version}).protocol_version == version


def test_without_a_header_the_oldest_version_is_assumed():
    assert post(LEGACY).protocol_version == "2025-03-26"


@pytest.mark.parametrize(
    ("asked", "version"), [("2025-11-25", "2025-11-25"), ("2024-11-05", "2025-03-26"), (5, "2025-03-26")]
)
def test_initialize_says_its_version_in_the_body(asked, version):
    call = post(LEGACY, "initialize", {"protocolVersion": asked, "clientInfo": {"name": "c", "version": 1}})
    assert call.protocol_version == version
    assert call.unverified == {"client": "c", "protocol_version": version}


@pytest.mark.parametrize(
    "mirror",
    [{"Mcp-Method": "tools/list"}, {"Mcp-Name": "other"}, {"Mcp-Method": "tools/call", "Mcp-Name": "other"}],
    ids=["method", "name", "name beside a right method"],
)
@pytest.mark.parametrize("version", [None, "2025-03-26", "2025-06-18", "2025-11-25"])
def test_mirror_headers_that_disagree_with_a_legacy_body_are_refused(version, mirror):
    assert refused(post, {**LEGACY, "MCP-Protocol-Version": version, **mirror}).code == -32020


def test_mirror_headers_that_agree_with_a_legacy_body_are_fine():
    assert post({**LEGACY, "Mcp-Method": "tools/call", "Mcp-Name": "t"}).action.verb == "tools/call"


@pytest.mark.parametrize("header", ["Mcp-Method", "Mcp-Name"])
def test_mirror_headers_without_a_request_are_refused(header):
    headers = [(header.encode(), b"tools/call")]
    assert refused(mcp.decode, method="GET", headers=headers, body=b"").code == -32020
    headers.append((b"content-type", b"application/json"))
    response = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    assert refused(mcp.decode, method="POST", headers=headers, body=response).code == -32020


@pytest.mark.parametrize(
    "name",
    ["Mcp-Method", "MCP-NAME", "mcp-protocol-version", "Mcp-Session-Id", "Mcp-Future", "Mcp-Param-X", "Content-Type"],
)
def test_a_header_that_decides_stands_once(name):
    pairs = [(k.encode(), v.encode()) for k, v in {**MODERN, name: MODERN.get(name, "t")}.items()]
    pairs.append((name.swapcase().encode(), b"t"))
    body = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "t", "_meta": META}}
    error = refused(mcp.decode, method="POST", headers=pairs, body=strict_json.dumps(body))
    assert (error.code, error.status, error.request_id) == (-32020, 400, 3)
    assert error.protocol_version == "2026-07-28"
