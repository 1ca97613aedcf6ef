import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.io import FlowReader, tnetstring
from mitmproxy.test import tflow, tutils

from holdpoint.recording import secrets_in_text
from holdpoint.recording.scrub import Bodies, ConnectionStates, flow_state, headers, state_of
from holdpoint.recording.tnetstrings import dumps

SECRET = "s3cr3t-value"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
EKS = "k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8"
WEBSOCKET = "base64url.bearer.authorization.k8s.io.c2VjcmV0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {SECRET}"),
        ("authorization", f"Basic {SECRET}"),
        ("Proxy-Authorization", SECRET),
        ("Cookie", f"a={SECRET}; b=2"),
        ("Set-Cookie", f"sid={SECRET}; HttpOnly"),
        ("X-Auth-Token", SECRET),
        ("X-Vault-Token", SECRET),
        ("PRIVATE-TOKEN", SECRET),
        ("X-Amz-Security-Token", SECRET),
        ("X-Api-Key", SECRET),
        ("apikey", SECRET),
        ("api_key", SECRET),
        ("X-Functions-Key", SECRET),
        ("Ocp-Apim-Subscription-Key", SECRET),
        ("X-CSRF-Token", SECRET),
        ("X-Client-Secret", SECRET),
        ("X-Password", SECRET),
        ("X-Auth", SECRET),
        ("X-Session-Id", SECRET),
        ("X-Hub-Signature-256", SECRET),
        ("Authentication-Info", f'nextnonce="{SECRET}"'),
        ("X-Forwarded-Authorization", SECRET),
        ("Sec-WebSocket-Protocol", f"v4.channel.k8s.io, {WEBSOCKET}"),
        ("X-Anything", f"Bearer {SECRET}"),
        ("X-Anything", f"bearer  {SECRET}"),
        ("X-Anything", JWT),
        ("X-Anything", f"before {EKS} after"),
        ("Location", f"https://user:{SECRET}@host/x"),
        ("Location", f"https://host/cb?code={SECRET}&state=1"),
        ("Referer", f"https://host/x?access_token={SECRET}"),
        ("Link", f'<https://host/p?sig={SECRET}>; rel="next"'),
        ("Destination", f"/x#access_token={SECRET}"),
    ],
)
def test_no_credential_stays_in_a_header(name, value):
    kept = secrets_in_text.header(name, value)
    for leaked in (SECRET, JWT, EKS, WEBSOCKET):
        assert leaked not in kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("User-Agent", "kubectl/v1.36 (linux/amd64) kubernetes/abc"),
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "read_note"),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Idempotency-Key", "8e03978e"),
        ("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("Location", "/api/v1/pods?limit=5"),
        ("Cache-Control", "no-cache"),
        ("Date", "Sat, 21 Nov 2026 01:08:13 GMT"),
        ("X-Kubernetes-Pf-Flowschema-Uid", "7a4aa846"),
    ],
)
def test_what_is_no_credential_stays(name, value):
    assert secrets_in_text.header(name, value) == value


@given(
    st.sampled_from([b"x-trace", b"Authorization", b"Mcp-Session-Id", b"WWW-Authenticate", b" X-Api-Key", b"n" * 80]),
    st.lists(
        st.sampled_from(
            [
                b"abc",
                b"eyJ",
                b"a" * 9,
                b".",
                b"k8s-aws-v1.",
                b" ",
                b"\t",
                b"Bearer",
                b"?token=",
                b"://",
                b"u:p@",
                b"\xff",
            ]
        ),
        max_size=6,
    ).map(b"".join),
)
def test_what_is_taken_for_plain_at_a_glance_is_plain(name, value):
    kept = secrets_in_text.header(name.decode("latin-1").strip(), value.decode("utf-8", "surrogateescape"))
    is_same = kept.encode("utf-8", "surrogateescape") == value
    assert is_same or not secrets_in_text.is_plain(name, value)


def test_most_headers_are_plain_at_a_glance():
    assert secrets_in_text.is_plain(b"Content-Type", b"application/json")
    assert not secrets_in_text.is_plain(b"Authorization", b"abc")


def test_challenge_keeps_what_a_reader_needs():
    kept = secrets_in_text.header("WWW-Authenticate", 'Bearer realm="x", error="invalid_token", nonce="abc"')
    assert kept == 'Bearer realm="x", error="invalid_token", nonce=[masked]'


def test_session_handle_is_kept_as_its_hash():
    one, same, other = (secrets_in_text.header("Mcp-Session-Id", v) for v in ("handle-1", "handle-1", "handle-2"))
    assert one == same != other
    assert "handle-1" not in one
    assert one.startswith("sha256:")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/api/v1/pods?limit=5&continue=abc", "/api/v1/pods?limit=5&continue=abc"),
        ("/x?access_token=s3&page=2", "/x?access_token=%5Bmasked%5D&page=2"),
        ("/x?page=2&Access_Token=s3", "/x?page=2&Access_Token=%5Bmasked%5D"),
        ("/x?acc%65ss_token=s3", "/x?acc%65ss_token=%5Bmasked%5D"),
        ("/x?acc%2565ss_token=s3", "/x?acc%2565ss_token=%5Bmasked%5D"),
        ("/x?a=1;token=s3", "/x?a=1;token=%5Bmasked%5D"),
        ("/x?X-Amz-Signature=s3&X-Amz-Credential=s3", "/x?X-Amz-Signature=%5Bmasked%5D&X-Amz-Credential=%5Bmasked%5D"),
        ("/x?sig=s3", "/x?sig=%5Bmasked%5D"),
        ("/x?design=s3", "/x?design=s3"),
        ("/x?client_secret=s3", "/x?client_secret=%5Bmasked%5D"),
        ("/x?token=", "/x?token=%5Bmasked%5D"),
        ("/x?token", "/x?token"),
        ("http://user:s3@host/x", "http://[masked]@host/x"),
        (f"/proxy/{EKS}/x", "/proxy/[masked]/x"),
        ("/x?next=%3Ftoken%3Ds3", "/x?next=?token=%5Bmasked%5D"),
    ],
)
def test_path_keeps_its_shape_and_loses_its_credentials(path, kept):
    assert secrets_in_text.path(path) == kept


def test_every_pattern_runs_in_linear_time():
    for text in ("://" + "a" * 200_000, "eyJ" + "a." * 100_000, "?" * 200_000, "bearer " * 30_000, "&a=" * 60_000):
        secrets_in_text.text(text)
        secrets_in_text.path(text)


def test_eks_token_in_a_body_that_masking_left_is_taken_out():
    state = flow_state(tflow.tflow(resp=True).get_state(), Bodies(EKS.encode(), EKS.encode()), {})
    assert state["request"]["content"] == state["response"]["content"] == b"[masked]"


def make(**more):
    request = tutils.treq(
        method=b"POST",
        path=b"/mcp?token=" + SECRET.encode(),
        headers=((b"Authorization", b"Bearer " + SECRET.encode()), (b"content-encoding", b"gzip")),
        content=SECRET.encode(),
        trailers=((b"x-token", SECRET.encode()),),
        authority=b"user:" + SECRET.encode() + b"@host",
    )
    response = tutils.tresp(
        headers=((b"set-cookie", SECRET.encode()), (b"transfer-encoding", b"chunked")),
        content=SECRET.encode(),
        reason=b"Bearer " + SECRET.encode(),
    )
    flow = tflow.tflow(req=request, resp=response, **more)
    flow.metadata = {"proxyauth": ("user", SECRET), "live": object()}
    flow.comment = SECRET
    flow.client_conn.sni = "host"
    return flow


def reread(state):
    (flow,) = FlowReader(io.BytesIO(tnetstring.dumps(state))).stream()
    return flow


def test_nothing_of_a_credential_reaches_the_record():
    flow = make()
    flow.backup()
    flow.request.content = b"changed"
    record = tnetstring.dumps(flow_state(flow.get_state(), Bodies(b"{}", b"{}"), {"exchange": "ex-1"}))
    assert SECRET.encode() not in record


def test_error_and_close_reason_lose_their_credentials():
    flow = tflow.twebsocketflow()
    flow.error = tflow.terr()
    flow.error.msg = f"no route to https://u:{SECRET}@host"
    flow.websocket.close_reason = f"bearer {SECRET}"
    record = tnetstring.dumps(flow_state(flow.get_state(), Bodies(), {}))
    assert SECRET.encode() not in record


def test_original_state_is_left_as_it_was():
    flow = make()
    flow.metadata = {}
    state = flow.get_state()
    flow_state(state, Bodies(b"", b""), {})
    assert state == flow.get_state()


def test_record_reads_back_in_mitmproxy_with_masked_bodies_that_fit_their_headers():
    flow = reread(flow_state(make().get_state(), Bodies(b'{"a":1}', b'{"b":2}'), {"outcome": "answered"}))
    assert flow.request.get_text() == '{"a":1}'
    assert flow.response.get_text() == '{"b":2}'
    assert flow.request.headers["content-length"] == "7"
    assert "transfer-encoding" not in flow.response.headers
    assert flow.metadata == {"holdpoint": {"outcome": "answered"}}


def test_body_that_may_not_be_recorded_is_absent_and_noted():
    flow = reread(flow_state(make().get_state(), Bodies(), {}))
    assert flow.request.raw_content is None
    assert flow.response.raw_content is None
    assert "not recorded" in flow.comment


@pytest.mark.parametrize(
    "flow",
    [tflow.twebsocketflow(), tflow.ttcpflow(), tflow.tudpflow(), tflow.tdnsflow(resp=True)],
    ids=["websocket", "tcp", "udp", "dns"],
)
def test_other_flows_lose_their_messages_and_read_back(flow):
    state = flow_state(flow.get_state(), Bodies(b"", b""), {"exchange": "ex-1"})
    record = tnetstring.dumps(state)
    for said in (b"hello", b"it's me"):
        assert said not in record
    assert reread(state).metadata["holdpoint"]["exchange"] == "ex-1"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (object(), "<object>"),
        ({1: {2}}, {"1": [2]}),
        (float("nan"), "nan"),
        (b"\xff", "\\xff"),
        ("\ud800", "\\ud800"),
        ((1, None, True), [1, None, True]),
    ],
    ids=["object", "set", "nan", "bytes", "surrogate", "tuple"],
)
def test_metadata_is_json_whatever_it_was(value, kept):
    assert reread(flow_state(make().get_state(), Bodies(), {"x": value})).metadata["holdpoint"]["x"] == kept


@pytest.mark.parametrize(
    ("metadata", "marker", "words"),
    [
        ({"outcome": "answered"}, ":white_check_mark:", ["answered"]),
        ({"outcome": "answered", "approval": {"id": "ap-1", "by": ["Bob"]}}, ":raised_hand:", ["ap-1 by Bob"]),
        ({"outcome": "refused", "decision": {"rules": ["p/r"]}}, ":no_entry:", ["refused", "rules p/r"]),
        ({"outcome": "unknown"}, ":question:", ["outcome unknown"]),
        ({"outcome": "answered", "masked": 3}, ":white_check_mark:", ["3 values masked"]),
        ({"principal": {"name": "Alice"}, "action": "tools/call", "resource": "tool x"}, "", ["by Alice", "tool x"]),
        ({}, "", []),
        ({"outcome": 3, "decision": "x", "approval": [], "masked": "y", "notes": 1}, "", []),
    ],
    ids=["answered", "approved", "refused", "unknown", "masked", "who", "empty", "odd"],
)
def test_comment_and_marker_tell_the_decision(metadata, marker, words):
    flow = reread(flow_state(make().get_state(), Bodies(b"", b""), metadata))
    assert flow.marked == marker
    assert all(w in flow.comment for w in words)


def test_header_bytes_that_are_no_text_stay_as_they_were():
    assert headers([(b"x-odd", b"\xff\xfe")]) == ((b"x-odd", b"\xff\xfe"),)


def test_a_state_with_connections_from_memory_is_the_state_all_the_same():
    flow = tflow.tflow(resp=True)
    states = ConnectionStates()
    for _ in range(2):
        kept = flow_state(state_of(flow, states), Bodies(b"{}", b"{}"), {"exchange": "ex-1"})
        plain = flow_state(flow.get_state(), Bodies(b"{}", b"{}"), {"exchange": "ex-1"})
        assert kept == plain
        assert dumps(kept) == tnetstring.dumps(plain)


def test_what_changes_in_a_connection_is_seen():
    flow = tflow.tflow(resp=True)
    states = ConnectionStates()
    for change in ({"timestamp_end": 12.0}, {"error": "gone"}, {"sni": "other.example"}, {"id": "another"}):
        before = state_of(flow, states)["client_conn"]
        for name, value in change.items():
            setattr(flow.client_conn, name, value)
        after = state_of(flow, states)["client_conn"]
        assert after != before
        assert after == flow_state(flow.get_state(), Bodies(), {})["client_conn"]


def test_a_connection_from_memory_keeps_no_secret():
    flow = tflow.tflow(resp=True)
    flow.server_conn.error = f"https://user:{SECRET}@host/ refused"
    state = state_of(flow, ConnectionStates())
    assert SECRET not in str(state)
    assert SECRET.encode() not in dumps(flow_state(state, Bodies(), {}))


def test_only_so_many_connections_are_remembered():
    states = ConnectionStates(limit=2)
    first, *others = (tflow.tflow() for _ in range(3))
    kept = states.of(first.client_conn)
    assert states.of(first.client_conn) is kept
    for other in others:
        states.of(other.client_conn)
    assert states.of(first.client_conn) is not kept


TEXTS = st.lists(
    st.sampled_from(
        ["Bearer", "basic ", "\t", " ", "=", "?", "&", "token", "eyJ", "EYJhbGciO", ".", "://", "@", "user"]
    )
    | st.sampled_from(["k8s-aws-v1.", "K8S-aws-v1.abc", "aws4-HMAC-sha256 ", "\u212a8s", "\u017f", "x", "negotiate"])
    | st.text(max_size=8),
    max_size=12,
).map("".join)


@given(TEXTS)
def test_the_short_cut_misses_nothing(text):
    found = secrets_in_text._TEXT.search(text)
    assert found is None or secrets_in_text.may_hold(text)
