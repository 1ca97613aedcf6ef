"""What must hold of every input of the decoders."""

import json
from collections.abc import Callable
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

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
