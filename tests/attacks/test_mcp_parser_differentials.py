"""T02: a message that the gateway and some server could read differently goes nowhere."""

import pytest

from holdpoint.protocols import mcp
from holdpoint.protocols.call import Undecodable

pytestmark = pytest.mark.threat("T02")

JSON = (b"content-type", b"application/json")


def decode(body: bytes, *headers):
    return mcp.decode(method="POST", headers=[JSON, *headers], body=body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","name":"drop"}}', id="name twice"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"drop"}}',
            id="method twice",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"},"p\\u0061rams":{"name":"drop"}}',
            id="params twice by escape",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","Name":"drop"}}',
            id="CVE-2026-27896",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r"},"paramS":{"name":"drop"}}',
            id="params in another case",
        ),
        pytest.param(
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r"},"param\u017f":{"name":"d"}}'.encode(),
            id="params with a long s",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r","name\\u0000":"drop"}}',
            id="GHSA-q382-vc8q-7jhj",
        ),
        pytest.param(
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r","argument\u017f":{}}}'.encode(),
            id="arguments with a long s",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r","arguments":{"ns":"dev","NS":"prod"}}}',
            id="argument in two cases",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r","arguments":{"ns":"d","ns\\u0000":"p"}}}',
            id="argument with NUL",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"mine","TaskId":"theirs"}}',
            id="task in another case",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"completion/complete",'
            b'"params":{"ref":{"type":"ref/prompt","name":"open","Name":"secret"}}}',
            id="completion of two prompts",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"completion/complete",'
            b'"params":{"ref":{"type":"ref/prompt","name":"open","uri":"file:///etc"}}}',
            id="completion of a prompt and a resource",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r","inputresponses":{}}}',
            id="answers in another case",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"drop"}}', id="a call that asks no answer"
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}', id="a notification with an id"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call","params":{"name":"drop"}}', id="two kinds"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":null}}', id="null _meta"
        ),
        pytest.param(b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}', id="BOM"),
        pytest.param('{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"x":1}', id="two values"),
    ],
)
def test_a_message_with_two_readings_is_refused(body):
    with pytest.raises(Undecodable) as caught:
        decode(body)
    assert caught.value.code in {-32700, -32600, -32602}
    assert caught.value.status == 400


def member(more: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}' + more + b"}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" + member(b',"id":2') + b"]", id="id twice in one message"),
        pytest.param(b"[" + member(b"") + b"," + member(b"") + b"]", id="one id for two messages"),
        pytest.param(b"[" + member(b"") + b',{"jsonrpc":"2.0","id":"1","method":"ping"}]', id="one id as text"),
        pytest.param(b"[" + member(b"") + b',{"jsonrpc":"2.0","id":1.0,"method":"ping"}]', id="one id as a fraction"),
        pytest.param(b"[[" + member(b"") + b"]]", id="a batch in a batch"),
        pytest.param(b"[" + member(b"") + b",]", id="a comma too many"),
        pytest.param(b"[" + member(b"") + b"][]", id="two batches"),
        pytest.param(b"[" + member(b',"params":{"name":"drop"}') + b"]", id="params twice"),
        pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"initialize"}]', id="a session that begins in a batch"),
        pytest.param(b'{"0":' + member(b"") + b"}", id="an object that counts"),
    ],
)
@pytest.mark.parametrize("version", [[], [(b"MCP-Protocol-Version", b"2025-03-26")]], ids=["no version", "2025-03-26"])
def test_a_batch_with_two_readings_is_refused(body, version):
    with pytest.raises(Undecodable):
        decode(body, *version)


@pytest.mark.parametrize("version", [b"2025-06-18", b"2025-11-25", b"2026-07-28"])
def test_no_batch_passes_where_the_version_has_none(version):
    with pytest.raises(Undecodable, match="no batches"):
        decode(b"[" + member(b"") + b"]", (b"MCP-Protocol-Version", version))


def test_no_message_of_a_batch_goes_undecided_by_claiming_no_version():
    call = decode(
        b"[" + member(b"") + b"," + member(b"").replace(b'"id":1', b'"id":2').replace(b"read", b"drop") + b"]"
    )
    assert [m.resource.name for m in call.members] == ["read", "drop"]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///public/../etc/passwd",
        "file:///public/./x",
        "file:///public/..",
        "file:///public/%2e%2e/etc",
        "file:///public/.%2E/etc",
        "file:///public%2f..%2fetc",
        "file:///public/..%2fetc",
        "file:///public\\..\\etc",
        "file:///public/..%5cetc",
        "file:///public/%252e%252e/etc",
        "file:///public/x%00.txt",
        "file:///public/%c0%ae%c0%ae/etc",
        "file:///public/a b",
    ],
)
@pytest.mark.parametrize("method", ["resources/read", "resources/subscribe", "resources/unsubscribe"])
def test_a_uri_with_two_readings_is_refused(method, uri):
    with pytest.raises(Undecodable, match="more than one way"):
        decode(b'{"jsonrpc":"2.0","id":1,"method":"%s","params":{"uri":%s}}' % (method.encode(), quoted(uri)))


def test_a_uri_with_two_readings_is_refused_in_a_completion_and_a_stream():
    uri = quoted("file:///public/%2e%2e/etc")
    ref = b'{"ref":{"type":"ref/resource","uri":%s}}' % uri
    with pytest.raises(Undecodable, match="more than one way"):
        decode(b'{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":%s}' % ref)
    meta = (
        b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        b'"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    params = b'{"notifications":{"resourceSubscriptions":[%s]},%s}' % (uri, meta)
    with pytest.raises(Undecodable, match="more than one way"):
        decode(
            b'{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":%s}' % params,
            (b"MCP-Protocol-Version", b"2026-07-28"),
            (b"Mcp-Method", b"subscriptions/listen"),
        )


def quoted(text: str) -> bytes:
    return b'"' + text.replace("\\", "\\\\").encode() + b'"'


@pytest.mark.parametrize(
    "uri",
    ["test://static-text", "file:///a/b..c/.d/e%20f", "repo://acme%2Fapp/x?y=1.2#z", "urn:x:1.0", "template://{id}/é"],
)
def test_a_clear_uri_is_left_as_it_is(uri):
    call = decode(b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%s}}' % quoted(uri))
    assert call.resource.uri == uri


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}'


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Mcp-Name", b"drop")], id="another name"),
        pytest.param([(b"Mcp_Name", b"drop")], id="another name, as WSGI reads it"),
        pytest.param([(b"Mcp-Name", b"read"), (b"mcp-name", b"drop")], id="two names"),
        pytest.param([(b"Mcp-Name", b"read"), (b"Mcp_Name", b"read")], id="two names, as WSGI reads them"),
        pytest.param([(b"Mcp-Method", b"tools/list")], id="another method"),
        pytest.param([(b"Mcp-Name", "read\u00a0".encode("latin-1"))], id="blank beyond ASCII"),
        pytest.param([(b"MCP-Protocol-Version", b"2026-07-28")], id="version by header alone"),
        pytest.param([(b"MCP-Protocol-Version", b"2025-11-25\x0b")], id="version with a control character"),
        pytest.param([(b"X-HTTP-Method-Override", b"DELETE")], id="method override"),
        pytest.param([(b"Content-Encoding", b"gzip")], id="compressed"),
        pytest.param([(b"Content-Type", b"text/plain")], id="two types"),
    ],
)
def test_headers_with_another_story_are_refused(headers):
    assert decode(CALL).resource.name == "read"
    with pytest.raises(Undecodable):
        decode(CALL, *headers)


def test_a_version_in_the_body_alone_is_refused():
    body = CALL.replace(b'"read"', b'"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}')
    with pytest.raises(Undecodable) as caught:
        decode(body)
    assert caught.value.code == -32020
