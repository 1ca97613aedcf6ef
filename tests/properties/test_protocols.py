"""What must hold of every input of the decoders."""

import json
from collections.abc import Callable
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import encode_header_value

from holdpoint.protocols import http, jsonrpc, mcp, sse, strict_json
from holdpoint.protocols.call import Call, Rendered, Undecodable

relaxed = settings(deadline=None)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)

header_names = st.sampled_from(
    [b"Content-Type", b"Accept", b"Mcp-Method", b"Mcp-Name", b"MCP-Protocol-Version", b"Mcp-Session-Id", b"Mcp-Param-A"]
) | st.binary(max_size=12)
header_values = st.sampled_from(
    [b"application/json", b"2026-07-28", b"2025-06-18", b"tools/call", b"t", b"=?base64?dA==?=", b"*/*"]
) | st.binary(max_size=20)
headers = st.lists(st.tuples(header_names, header_values), max_size=6)

methods = st.sampled_from(["tools/call", "tools/list", "prompts/get", "resources/read", "initialize"]) | st.text(
    max_size=8
)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": st.integers() | st.text(max_size=4) | values,
        "method": methods,
        "params": st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(max_size=5) | values,
                "uri": st.text(max_size=9),
                "arguments": values,
                "_meta": values,
                "protocolVersion": values,
                "clientInfo": values,
            },
        )
        | values,
        "result": values,
        "error": values,
    },
)
bodies = st.binary(max_size=200) | st.builds(strict_json.dumps, messages | values)


def decoded_or_rendered(decode: Callable[[], Call], undecodable: Callable[..., Rendered]) -> Call | Rendered:
    try:
        return decode()
    except Undecodable as error:
        return undecodable(error, refusal_id="r")


@relaxed
@given(method=st.sampled_from(["POST", "GET", "DELETE"]) | st.text(max_size=6), headers=headers, body=bodies)
def test_the_mcp_decoder_raises_nothing_but_undecodable(method, headers, body):
    for said in (headers, [(b"content-type", b"application/json")]):
        decode = partial(mcp.decode, method=method, headers=said, body=body)
        assert isinstance(decoded_or_rendered(decode, mcp.undecodable), (Call, Rendered))


single = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": st.integers() | st.text(max_size=4),
        "method": st.sampled_from(
            ["tools/call", "tools/list", "prompts/get", "ping", "initialize", "roots/list", "x/y"]
        ),
    },
    optional={"params": st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"arguments": values})},
) | st.sampled_from(
    [
        {"jsonrpc": "2.0", "method": "notifications/cancelled"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "m"}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "m"}},
    ]
)
JSON_BODY = [(b"content-type", b"application/json")]


def call_of(message) -> Call | None:
    try:
        return mcp.decode(method="POST", headers=JSON_BODY, body=strict_json.dumps(message))
    except Undecodable:
        return None


@relaxed
@given(st.lists(single | values, max_size=6))
def test_a_batch_is_decoded_to_what_each_of_its_messages_is_alone(batch):
    call = call_of(batch)
    alone = [call_of(message) for message in batch]
    if call is None:
        return
    assert len(call.members) == len(batch) > 0
    for member, one in zip(call.members, alone, strict=True):
        assert one is not None
        assert not one.members
        assert (member.action, member.resource, member.arguments) == (one.action, one.resource, one.arguments)
        assert (member.request_id, member.answers, member.intent) == (one.request_id, one.answers, one.intent)
    assert call.is_write is any(one is None or one.is_write for one in alone)
    ids = [jsonrpc.id_key(m.request_id) for m in call.members if m.request_id is not None]
    assert len(set(ids)) == len(ids)


@relaxed
@given(st.lists(single, min_size=1, max_size=6))
def test_every_request_of_a_refused_batch_is_answered_once(batch):
    try:
        mcp.decode(method="POST", headers=JSON_BODY, body=strict_json.dumps(batch))
    except Undecodable as error:
        answers = strict_json.loads(mcp.undecodable(error, refusal_id="r").body)
        asked = dict.fromkeys((type(m["id"]), m["id"]) for m in batch if "method" in m and "id" in m)
        if asked:
            assert isinstance(answers, list)
            assert [(type(a["id"]), a["id"]) for a in answers] == list(asked)
        else:
            assert isinstance(answers, dict)


mirrored = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers() | st.booleans()


def header_of(value: object) -> str:
    """Return what the reference SDK sends for a value."""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return encode_header_value(text)


@relaxed
@given(value=mirrored, other=mirrored)
@example(value=1, other=True)
@example(value=1, other="1")
@example(value="true", other=True)
def test_a_mirror_is_taken_for_its_argument_and_for_no_other(value, other):
    def is_taken(header: str) -> bool:
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "t", "arguments": {"a": value}},
        }
        headers = [*JSON_BODY, (b"mcp-param-a", header.encode())]
        body = strict_json.dumps(message)
        try:
            mcp.decode(method="POST", headers=headers, body=body, mirrors=lambda _: {"mcp-param-a": "/a"})
        except Undecodable:
            return False
        return True

    assert is_taken(header_of(value))
    same_text = header_of(other) == header_of(value)
    same_number = type(value) is int and type(other) is int and value == other
    if not (same_text or same_number) and not (type(value) is int and isinstance(other, str)):
        assert not is_taken(header_of(other))


@relaxed
@given(
    method=st.sampled_from(["POST", "GET", "DELETE"]) | st.text(max_size=6),
    host=st.sampled_from(["a.example"]) | st.text(max_size=9),
    path=st.text(max_size=20) | st.text("/.%2eFf5c;?&=+ab\\", max_size=20).map("/".__add__),
    headers=headers,
    body=bodies,
)
def test_the_http_decoder_raises_nothing_but_undecodable(method, host, path, headers, body):
    decode = partial(http.decode, method=method, host=host, path=path, headers=headers, body=body)
    assert isinstance(decoded_or_rendered(decode, http.undecodable), (Call, Rendered))


@relaxed
@given(values | messages)
def test_server_messages_raise_nothing_but_undecodable(value):
    try:
        message = mcp.server_message(value)
    except Undecodable:
        return
    assert isinstance(message.message, (jsonrpc.Request, jsonrpc.Notification, jsonrpc.Response, jsonrpc.ErrorResponse))


def spelt(value: object) -> str:
    return repr(value)  # tells 1 from 1.0 and from True, and 0.0 from -0.0


@relaxed
@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_strict_json_agrees_with_json_on_valid_input(value, escape, indent):
    data = json.dumps(value, ensure_ascii=escape, indent=indent).encode()
    assert spelt(strict_json.loads(data)) == spelt(value)
    assert spelt(strict_json.loads(strict_json.dumps(value))) == spelt(value)


@relaxed
@given(st.binary(max_size=60) | st.text('[]{}",:\\0123456789.eE+-ntfu aλ', max_size=40).map(str.encode))
@example(b"-0")
@example(b"0e99999999999999999999")
def test_what_strict_json_accepts_json_reads_the_same(data):
    try:
        value = strict_json.loads(data)
    except Undecodable:
        return
    assert spelt(json.loads(data)) == spelt(value)  # the reference


class _TwiceError(Exception):
    pass


def once(pairs):
    if len({k for k, _ in pairs}) != len(pairs):
        raise _TwiceError
    return dict(pairs)


def written(tree, escape) -> str:
    """Write JSON whose objects are lists of pairs, so that a key may come twice."""
    match tree:
        case list():
            return "[" + ",".join(written(item, escape) for item in tree) + "]"
        case ("object", pairs):
            return "{" + ",".join(f"{written(k, escape)}:{written(v, escape)}" for k, v in pairs) + "}"
        case str() if escape:
            return '"' + "".join(f"\\u{ord(c):04x}" for c in tree) + '"'
        case _:
            return json.dumps(tree, ensure_ascii=False)


quirky = st.text('"\\u02ab', max_size=3)
trees = st.recursive(
    quirky | st.integers(0, 3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(st.just("object"), st.lists(st.tuples(quirky, inner), max_size=4))
    ),
    max_leaves=12,
)


@settings(relaxed, max_examples=300)
@given(trees, st.booleans())
@example(("object", [("a", 1), ("a", 2), ("b", '""')]), True)  # noqa: FBT003  # hypothesis takes them by place
def test_duplicate_keys_are_found_exactly_where_there_are_some(tree, escape):
    data = written(tree, escape).encode()
    try:
        json.loads(data, object_pairs_hook=once)  # the reference
        has_duplicates = False
    except _TwiceError:
        has_duplicates = True
    try:
        strict_json.loads(data)
        refused = False
    except Undecodable:
        refused = True
    assert refused is has_duplicates


lines = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"event: x",
        b"id: 1",
        b"id",
        b"retry: 5",
        b": c",
        b":",
        b"x: y",
        b"",
        b"",
        b"\xef\xbb\xbf",
    ]
) | st.binary(max_size=6)
streams = st.builds(
    bytes.__add__,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=15).map(
        lambda pairs: b"".join(line + end for line, end in pairs)
    ),
)


@settings(relaxed, max_examples=300)
@given(streams, st.data())
def test_sse_events_are_the_same_for_every_chunking(stream, data):
    whole = sse.Parser().feed(stream)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    parser = sse.Parser()
    events = [
        event for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for event in parser.feed(stream[a:b])
    ]
    assert events == whole
    bytewise = sse.Parser()
    assert [event for i in range(len(stream)) for event in bytewise.feed(stream[i : i + 1])] == whole


@relaxed
@given(streams)
def test_sse_events_survive_being_written_and_read_again(stream):
    events = sse.Parser().feed(stream)
    assert sse.Parser().feed(b"".join(map(sse.encode, events))) == events
