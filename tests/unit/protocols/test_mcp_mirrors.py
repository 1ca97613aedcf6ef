import base64

import pytest

from holdpoint.protocols import mcp, strict_json
from holdpoint.protocols.call import Call, Undecodable

MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
PLACES = {
    "mcp-param-region": "/region",
    "mcp-param-count": "/count",
    "mcp-param-dry": "/dry",
    "mcp-param-deep": "/a~1b/c~0d",
}


def mirrors(tool):
    return PLACES if tool == "t" else {}


def post(arguments, headers, *, tool="t", version=MODERN) -> Call:
    params = {"name": tool, "arguments": arguments}
    said = {"Content-Type": "application/json", "MCP-Protocol-Version": version}
    if version == MODERN:
        params["_meta"] = META
        said |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    pairs = [(k.encode(), v.encode()) for k, v in (said | headers).items()]
    return mcp.decode(method="POST", headers=pairs, body=strict_json.dumps(message), mirrors=mirrors)


def refused(arguments, headers, **more) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        post(arguments, headers, **more)
    assert (caught.value.code, caught.value.status, caught.value.request_id) == (-32020, 400, 1)
    return caught.value


def encoded(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {"Mcp-Param-Region": "eu"}),
        ({"region": "eu"}, {"MCP-PARAM-REGION": encoded("eu")}),
        ({"region": " padded "}, {"Mcp-Param-Region": encoded(" padded ")}),
        ({"region": "Zürich"}, {"Mcp-Param-Region": encoded("Zürich")}),
        ({"region": "=?base64?eA==?="}, {"Mcp-Param-Region": encoded("=?base64?eA==?=")}),
        ({"region": "=?BASE64?eA==?="}, {"Mcp-Param-Region": "=?BASE64?eA==?="}),
        ({"region": ""}, {"Mcp-Param-Region": ""}),
        ({"count": 42}, {"Mcp-Param-Count": "42"}),
        ({"count": 42}, {"Mcp-Param-Count": "42.0"}),
        ({"count": 42.0}, {"Mcp-Param-Count": "42"}),
        ({"count": -7}, {"Mcp-Param-Count": "-7"}),
        ({"count": 1e16}, {"Mcp-Param-Count": "10000000000000000"}),
        ({"dry": True}, {"Mcp-Param-Dry": "true"}),
        ({"dry": False}, {"Mcp-Param-Dry": "false"}),
        ({"a/b": {"c~d": "x"}}, {"Mcp-Param-Deep": "x"}),
        ({"region": None}, {}),
        ({}, {}),
        ({"a/b": 5}, {}),
        ({"region": {"not": "mirrored"}}, {}),
        ({"other": 1}, {"Mcp-Param-Unknown": "whatever"}),
    ],
)
def test_mirrors_that_agree_are_taken(arguments, headers):
    assert post(arguments, headers).arguments == arguments


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        pytest.param({"region": "eu"}, {"Mcp-Param-Region": "us"}, id="another"),
        pytest.param({"region": "eu"}, {"Mcp-Param-Region": "EU"}, id="another case"),
        pytest.param({"region": "eu"}, {"Mcp-Param-Region": encoded("us")}, id="another, encoded"),
        pytest.param({"region": "eu"}, {"Mcp_Param_Region": "us"}, id="another, as WSGI reads it"),
        pytest.param({"region": "eu"}, {}, id="missing"),
        pytest.param({"region": ""}, {}, id="missing, and empty"),
        pytest.param({"dry": False}, {}, id="missing, and false"),
        pytest.param({"count": 0}, {}, id="missing, and zero"),
        pytest.param({}, {"Mcp-Param-Region": "eu"}, id="no argument"),
        pytest.param({"region": None}, {"Mcp-Param-Region": "null"}, id="null"),
        pytest.param({"region": ["eu"]}, {"Mcp-Param-Region": "eu"}, id="an array"),
        pytest.param({"count": 42}, {"Mcp-Param-Count": "42.5"}, id="a fraction"),
        pytest.param({"count": 2**53}, {"Mcp-Param-Count": str(2**53 + 1)}, id="the same double"),
        pytest.param({"count": 42}, {"Mcp-Param-Count": "4.2e1"}, id="an exponent"),
        pytest.param({"count": 42}, {"Mcp-Param-Count": "+42"}, id="a sign"),
        pytest.param({"count": 42}, {"Mcp-Param-Count": "0x2a"}, id="hexadecimal"),
        pytest.param({"count": 42}, {"Mcp-Param-Count": "NaN"}, id="not a number"),
        pytest.param({"count": 10**4000}, {"Mcp-Param-Count": "1"}, id="endless"),
        pytest.param({"count": 1}, {"Mcp-Param-Count": "true"}, id="true is not one"),
        pytest.param({"dry": True}, {"Mcp-Param-Dry": "True"}, id="true in another case"),
        pytest.param({"dry": True}, {"Mcp-Param-Dry": "1"}, id="one is not true"),
        pytest.param({"region": "42"}, {"Mcp-Param-Region": "42.0"}, id="text is no number"),
        pytest.param({"a/b": {"c~d": "x"}}, {"Mcp-Param-Deep": "y"}, id="deep"),
    ],
)
def test_mirrors_that_disagree_are_refused(arguments, headers):
    said = str(refused(arguments, headers))
    assert "us" not in said.split()


def test_headers_that_no_schema_knows_go_on_untouched():
    call = post({"region": "eu"}, {"Mcp-Param-Region": "us"}, tool="unseen")
    assert call.intent["headers"] == {"mcp-param-region": "us"}


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
def test_before_2026_a_mirror_need_not_be_there_and_may_not_disagree(version):
    assert post({"region": "eu"}, {}, version=version).arguments == {"region": "eu"}
    refused({"region": "eu"}, {"Mcp-Param-Region": "us"}, version=version)


def test_mirrors_are_compared_inside_a_batch():
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "t", "arguments": {"region": "eu"}},
    }
    headers = [(b"content-type", b"application/json"), (b"mcp-param-region", b"us")]
    with pytest.raises(Undecodable) as caught:
        mcp.decode(method="POST", headers=headers, body=strict_json.dumps([message]), mirrors=mirrors)
    assert caught.value.code == -32020
