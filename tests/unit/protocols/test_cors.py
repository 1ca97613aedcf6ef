import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.access import Protocol
from holdpoint.protocols.cors import answer_fields, dressed, preflight_fields

APP = "https://app.example.com"


def allowed(fields: list[tuple[bytes, bytes]]) -> list[str]:
    return dict(fields)[b"Access-Control-Allow-Headers"].decode().split(", ")


def test_nobody_is_allowed_where_nobody_asked():
    assert answer_fields("") == []


def test_a_listed_origin_is_named_and_caches_are_told():
    fields = dict(answer_fields(APP))
    assert fields[b"Access-Control-Allow-Origin"] == APP.encode()
    assert fields[b"Vary"] == b"Origin"
    assert b"Access-Control-Allow-Credentials" not in fields


def test_what_an_upstream_allows_is_taken_out_and_its_vary_is_kept():
    theirs = [(b"ACCESS-CONTROL-ALLOW-ORIGIN", b"*"), (b"Vary", b"Accept"), (b"X", b"1")]
    assert dressed(theirs, "") == [(b"Vary", b"Accept"), (b"X", b"1")]
    assert (b"Access-Control-Allow-Origin", APP.encode()) in dressed(theirs, APP)
    assert (b"ACCESS-CONTROL-ALLOW-ORIGIN", b"*") not in dressed(theirs, APP)


@pytest.mark.parametrize(
    ("protocol", "asked", "named"),
    [
        pytest.param(Protocol.MCP, "Mcp-Param-Region, Cookie", ["mcp-param-region"], id="parameters of tools"),
        pytest.param(Protocol.HTTP, "X-Api-Version", ["x-api-version"], id="a plain service's own"),
        pytest.param(None, "mcp-protocol-version, x", [], id="metadata"),
        pytest.param(Protocol.MCP, "", [], id="none"),
        pytest.param(Protocol.HTTP, "a b, c\r\nd, \x00, é, " + "x" * 65, [], id="no names"),
    ],
)
def test_preflight_names_what_may_be_sent(protocol: Protocol | None, asked: str, named: list[str]):
    assert allowed(preflight_fields(APP, protocol, asked))[len(allowed(preflight_fields(APP, None, ""))) :] == named


@given(st.text())
def test_nothing_asked_breaks_out_of_the_answer(asked: str):
    for protocol in (*Protocol, None):
        value = dict(preflight_fields(APP, protocol, asked))[b"Access-Control-Allow-Headers"]
        assert value.isascii()
        assert not set(value) & set(b'\r\n\x00":;')
