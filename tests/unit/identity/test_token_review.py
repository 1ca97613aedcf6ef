"""The official client against a server that answers as an API server does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.serving import Handler, Threaded

from holdpoint.identity.token_review import POD_UID, Reviewed, ask_api_server
from holdpoint.settings import TokenReview

OWN = "token-of-the-gateway"


class ApiServer(Threaded):
    """Answers `tokenreviews`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.status: dict[str, Any] = {}
        self.code = 201
        outer = self

        class Reviewing(Handler, BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server calls
                body = json.loads(self.heard())
                outer.asked.append((self.path, self.headers["authorization"], body))
                self.say(outer.code, json.dumps({**body, "status": outer.status}).encode())

        super().__init__(Reviewing)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


@pytest.fixture
def settings(api: ApiServer, tmp_path: Path) -> TokenReview:
    (tmp_path / "token").write_text(OWN + "\n")
    return TokenReview(api.url, token_file=tmp_path / "token")


def test_a_token_is_reviewed_for_our_audiences_and_the_answer_is_read(
    api: ApiServer, settings: TokenReview, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that is this very gateway must not be asked.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    api.status = {
        "authenticated": True,
        "user": {
            "username": "system:serviceaccount:agents:bot",
            "uid": "sa-uid",
            "groups": ["system:serviceaccounts"],
            "extra": {POD_UID: ["pod-uid"]},
        },
        "audiences": ["holdpoint"],
    }
    found = ask_api_server(settings, "the-token", frozenset({"holdpoint", "a"}))
    assert found == Reviewed(
        authenticated=True,
        username="system:serviceaccount:agents:bot",
        uid="sa-uid",
        audiences=frozenset({"holdpoint"}),
        pod="pod-uid",
    )
    (path, authorization, body) = api.asked[0]
    assert path == "/apis/authentication.k8s.io/v1/tokenreviews"
    assert authorization == f"Bearer {OWN}"
    assert body["spec"] == {"token": "the-token", "audiences": ["a", "holdpoint"]}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="says nothing"),
        pytest.param({"authenticated": False, "error": "[invalid bearer token]"}, id="refused"),
        pytest.param({"authenticated": True, "error": "odd", "user": {"username": "x"}}, id="both"),
    ],
)
def test_an_answer_that_does_not_say_yes_is_no(api: ApiServer, settings: TokenReview, status: dict[str, Any]) -> None:
    api.status = status
    assert not ask_api_server(settings, "the-token", frozenset({"a"})).authenticated


def test_an_error_of_the_server_is_raised_and_asked_once(api: ApiServer, settings: TokenReview) -> None:
    api.code = 500
    with pytest.raises(Exception, match="500"):
        ask_api_server(settings, "the-token", frozenset({"a"}))
    assert len(api.asked) == 1


def test_the_client_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, holdpoint.identity.verify; sys.exit('kubernetes' in sys.modules)"
    addons = Path(__file__).parents[3] / "addons"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(addons)}, check=False)
    assert done.returncode == 0
