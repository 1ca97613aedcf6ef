"""Which names lead where, and what a target is called by them."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Address, Keys, Listener, ListenerTls, Recordings, Settings, Target
from holdpoint.stages.routing import by_forward, by_reverse, entrance, metadata_by_reverse, speaks_kubernetes

TLS = ListenerTls(Path("c"), Path("k"))
NOTES = Target("notes", Protocol.MCP, "https", "notes.example", 443, "/mcp", ("/mcp/notes",), ("notes.corp.example",))
WEB = Target("web", Protocol.HTTP, "http", "127.0.0.1", 9000, "", ("/web",), ("web.corp.example",))
PLAIN = Listener("plain", "reverse", Address("127.0.0.1", 8080), url="http://127.0.0.1:8080")
BEHIND = Listener("behind", "reverse", Address("127.0.0.1", 8080), url="https://gw.example.com")
PUBLIC = Listener("public", "reverse", Address("", 8443), TLS, "https://gw.example.com:8443")
BARE = Listener("bare", "reverse", Address("127.0.0.1", 8080))
SETTINGS = Settings(
    file=Path("gateway.yaml"),
    listeners=(PLAIN,),
    keys=Keys(Path("ca"), "a", (), Path("d")),
    issuers=(),
    targets=(NOTES, WEB),
    policies=(),
    store=Path("s"),
    recordings=Recordings(Path("r")),
    admin_socket=Path("a"),
)


@pytest.mark.parametrize(
    ("listener", "host", "uri"),
    [
        pytest.param(PLAIN, "127.0.0.1:8080", "http://127.0.0.1:8080/mcp/notes", id="address"),
        pytest.param(PLAIN, "LOCALHOST.:8080", "http://localhost:8080/mcp/notes", id="loopback name"),
        pytest.param(BARE, "127.0.0.1:8080", "http://127.0.0.1:8080/mcp/notes", id="no url"),
        pytest.param(BEHIND, "gw.example.com", "https://gw.example.com/mcp/notes", id="behind a proxy"),
        pytest.param(BEHIND, "GW.example.com:443", "https://gw.example.com/mcp/notes", id="port of the scheme"),
        pytest.param(BEHIND, "127.0.0.1:8080", "http://127.0.0.1:8080/mcp/notes", id="past the proxy"),
        pytest.param(PUBLIC, "gw.example.com:8443", "https://gw.example.com:8443/mcp/notes", id="every interface"),
    ],
)
def test_a_route_is_called_as_it_was_called(listener: Listener, host: str, uri: str):
    route = by_reverse(SETTINGS, listener, host=host, path="/mcp/notes")
    assert (route.resource.uri, route.path) == (uri, "/mcp")
    assert metadata_by_reverse(
        SETTINGS, listener, host=host, path="/.well-known/oauth-protected-resource/mcp/notes"
    ) == (NOTES, route.resource)


@pytest.mark.parametrize(
    ("listener", "host"),
    [
        pytest.param(PUBLIC, "localhost:8443", id="loopback name from outside"),
        pytest.param(PUBLIC, "127.0.0.1:8443", id="loopback address from outside"),
        pytest.param(PUBLIC, "gw.example.com", id="another port"),
        pytest.param(PUBLIC, "10.0.0.1:8443", id="address"),
        pytest.param(BEHIND, "gw.example.com:8080", id="port behind the proxy"),
        pytest.param(BEHIND, "127.0.0.1", id="no port behind the proxy"),
        pytest.param(PLAIN, "evil.example:8080", id="rebound"),
    ],
)
def test_a_name_that_is_not_ours_is_refused(listener: Listener, host: str):
    with pytest.raises(Refusal) as caught:
        entrance(SETTINGS, listener, host)
    assert caught.value.kind is RefusalKind.DENIED


@pytest.mark.parametrize(
    ("listener", "host", "uri"),
    [
        pytest.param(PUBLIC, "notes.corp.example:8443", "https://notes.corp.example:8443/mcp", id="own host"),
        pytest.param(BEHIND, "notes.corp.example", "https://notes.corp.example/mcp", id="behind a proxy"),
    ],
)
def test_a_target_with_a_host_of_its_own_has_the_upstreams_path(listener: Listener, host: str, uri: str):
    assert by_reverse(SETTINGS, listener, host=host, path="/mcp").resource.uri == uri


def test_over_a_forward_listener_a_target_has_the_upstreams_uri():
    route = by_forward(SETTINGS, host="Notes.example.", port=443, scheme="https", path="/mcp")
    assert route.resource.uri == "https://notes.example/mcp"
    plain = by_forward(SETTINGS, host="127.0.0.1", port=9000, scheme="http", path="/x")
    assert plain.resource.uri == "http://127.0.0.1:9000"


def test_another_loopback_name_is_the_same_resource():
    route = by_reverse(SETTINGS, PLAIN, host="localhost:8080", path="/web/x")
    assert route.resource.audiences == {"http://localhost:8080/web", "http://127.0.0.1:8080/web"}


@pytest.mark.parametrize(
    ("host", "path", "is_kubernetes"),
    [
        ("127.0.0.1:8080", "/k8s/prod/api/v1/pods", True),
        ("127.0.0.1:8080", "/k8s/prod", True),
        ("127.0.0.1:8080", "/k8s/production", False),
        ("127.0.0.1:8080", "/web/x", False),
        ("PROD.corp.example:443", "/", True),
        ("api.example", "//", True),
        ("", "", False),
        ("[", "/", False),
    ],
)
def test_caller_of_a_cluster_is_known_by_the_address_alone(host: str, path: str, is_kubernetes: bool) -> None:
    cluster = Target(
        "prod", Protocol.KUBERNETES, "https", "api.example", 443, "", ("/k8s/prod",), ("prod.corp.example",)
    )
    settings = replace(SETTINGS, targets=(NOTES, WEB, cluster))
    assert speaks_kubernetes(settings, host=host, path=path) is is_kubernetes
    assert not speaks_kubernetes(SETTINGS, host=host, path=path)
