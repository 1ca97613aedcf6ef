import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.identity.metadata import Resource, askable, challenge, document, is_metadata_path

HERE = Resource("https://gw.example", "/mcp/demo")
ADDRESS = "https://gw.example/.well-known/oauth-protected-resource/mcp/demo"


def test_resource_has_one_uri_and_its_metadata_a_place():
    assert HERE.uri == "https://gw.example/mcp/demo"
    assert HERE.metadata_url == ADDRESS
    assert Resource("https://gw.example", "").metadata_url == "https://gw.example/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("resource", "audiences"),
    [
        pytest.param(HERE, {"https://gw.example/mcp/demo"}, id="path"),
        pytest.param(Resource("https://a.example", ""), {"https://a.example", "https://a.example/"}, id="no path"),
        pytest.param(
            Resource("http://localhost:1", "/x", "http://127.0.0.1:1"),
            {"http://localhost:1/x", "http://127.0.0.1:1/x"},
            id="two names",
        ),
    ],
)
def test_audiences_are_spellings_of_the_one_uri(resource: Resource, audiences: set[str]):
    assert resource.audiences == audiences


def test_document_says_what_clients_need_and_no_more():
    said = document(HERE, name="demo", issuers=["https://idp.example/"], scopes={"b", "a", "offline_access"})
    assert said == {
        "resource": "https://gw.example/mcp/demo",
        "resource_name": "demo",
        "authorization_servers": ["https://idp.example/"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["a", "b"],
    }


@pytest.mark.parametrize("scopes", [set[str](), {"offline_access"}])
def test_document_without_scopes_does_not_list_them(scopes: set[str]):
    assert "scopes_supported" not in document(HERE, name="demo", issuers=["https://idp.example"], scopes=scopes)


@pytest.mark.parametrize(
    ("base", "resource", "scopes", "said"),
    [
        pytest.param("Bearer", None, (), "Bearer", id="nothing known"),
        pytest.param("Bearer", HERE, (), f'Bearer resource_metadata="{ADDRESS}"', id="address"),
        pytest.param("Bearer", HERE, ("b", "a"), f'Bearer scope="a b", resource_metadata="{ADDRESS}"', id="both"),
        pytest.param(
            'Bearer error="invalid_token"',
            HERE,
            ("a", "offline_access"),
            f'Bearer error="invalid_token", scope="a", resource_metadata="{ADDRESS}"',
            id="error",
        ),
        pytest.param("Bearer", None, ("offline_access",), "Bearer", id="nothing to ask for"),
    ],
)
def test_challenge_says_what_is_known(base: str, resource: Resource | None, scopes: tuple[str, ...], said: str):
    assert challenge(base, resource=resource, scopes=scopes) == said


@pytest.mark.parametrize("scope", ["", " ", 'a"b', "a b", "a\\b", "a\r\nSet-Cookie: x", "a\tb", "é", "a\x7f", "a\x00"])
def test_scope_that_could_end_the_quoted_text_is_left_out(scope: str):
    assert askable([scope, "good"]) == ["good"]


@given(st.text(), st.lists(st.text()), st.text())
def test_no_text_of_others_ends_the_challenge(origin: str, scopes: list[str], path: str):
    said = challenge('Bearer error="insufficient_scope"', resource=Resource(origin, path), scopes=scopes)
    assert re.fullmatch(r'Bearer \w+="[\x20-\x21\x23-\x5b\x5d-\x7e]*"(, \w+="[\x20-\x21\x23-\x5b\x5d-\x7e]*")*', said)
    names = re.findall(r'(\w+)="[^"]*"', said)
    assert names in (
        ["error"],
        ["error", "scope"],
        ["error", "resource_metadata"],
        ["error", "scope", "resource_metadata"],
    )


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/.well-known/oauth-protected-resource", True),
        ("/.well-known/oauth-protected-resource/mcp/demo", True),
        ("/.well-known/oauth-protected-resource?x", True),
        ("/.well-known/oauth-protected-resources", False),
        ("/.well-known/oauth-authorization-server", False),
        ("//.well-known/oauth-protected-resource", False),
        ("/mcp/.well-known/oauth-protected-resource", False),
        ("", False),
    ],
)
def test_metadata_path_is_recognised_by_its_first_segments(path: str, is_one: bool):
    assert is_metadata_path(path) is is_one
