"""A small OpenID provider that really signs. FOR TESTS AND THE DEMO ONLY: NEVER RUN IT FOR ANYTHING ELSE.

It keeps passwords in clear, asks for no consent, limits no attempts, forgets everything when it stops, and can be told
to misbehave. It therefore binds to loopback and to nothing else.

It speaks OpenID Connect and RFC 8414 discovery, dynamic registration (RFC 7591), authorization code with PKCE S256
(RFC 7636, RFC 9207), client credentials, refresh with rotation, the device grant (RFC 8628), resource indicators
(RFC 8707) and access tokens by RFC 9068.

    python -m tests.fakes.issuer --port 9000 --users users.json

`users.json`: {"users": [{"sub", "email", "name", "groups", "password"}],
"clients": [{"client_id", "client_secret"?, "redirect_uris"?, "grant_types"?, "claims"?}]}.
"""

import argparse
import asyncio
import base64
import json
import secrets
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode, urlsplit

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import get_algorithm_by_name
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.fakes.issuer_grants import Grants, OAuthError, login_page

from holdpoint.clock import Clock, SystemClock

HOST = "127.0.0.1"
LIFETIME = 600

type Fault = Literal["", "error", "hang", "garbage", "redirect", "huge", "gzip", "foreign", "empty"]


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. The public half is published; `private` signs."""

    kid: str
    alg: str
    private: Any

    def jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = get_algorithm_by_name(self.alg).to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": public["kty"], "use": "sig", "alg": self.alg, "kid": self.kid} | {
            k: v for k, v in public.items() if k in ("n", "e", "crv", "x", "y")
        }


def make_key(alg: str = "RS256", kid: str = "", *, bits: int = 2048) -> Key:
    private = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else rsa.generate_private_key(65537, bits)
    return Key(kid or f"{alg.lower()}-{secrets.token_hex(4)}", alg, private)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, key: Key) -> str:
    """Sign whatever is given, raw bytes included, so that tests can be as wrong as an attacker."""
    parts = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in (header, claims)]
    signed = ".".join(b64(p) for p in parts)
    return f"{signed}.{b64(get_algorithm_by_name(key.alg).sign(signed.encode(), key.private))}"


@dataclass
class Faults:
    """What goes wrong from now on, by path. A switch, not a timer: `hang` hangs until it is switched off."""

    by_path: dict[str, Fault] = field(default_factory=dict)

    def set(self, fault: Fault, path: str = "*") -> None:
        self.by_path[path] = fault

    def clear(self) -> None:
        self.by_path.clear()

    def of(self, path: str) -> Fault:
        return self.by_path.get(path) or self.by_path.get("*", "")


class FakeIssuer:
    """The provider, in a thread with its own loop. `with FakeIssuer() as issuer:` starts and stops it."""

    def __init__(
        self,
        *,
        users: list[dict[str, Any]] | None = None,
        clients: list[dict[str, Any]] | None = None,
        port: int = 0,
        audience: str = "https://gateway.example",
        clock: Clock | None = None,
        alg: str = "RS256",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.audience = audience
        self.faults = Faults()
        self.keys = [make_key(alg)]
        self.requests: list[str] = []
        """Paths asked for, in order."""
        self.access_typ = "at+jwt"
        self.id_token_on_refresh = True
        self.grants = Grants(self, users or default_users(), clients or default_clients())
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self.tls = tls
        """Certificate and key, PEM files."""
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # Life

    def start(self) -> None:
        """Begin to answer. After `stop` it comes back on the same port."""
        if self._socket.fileno() == -1:
            self._socket = socket.socket()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, self.port))
        self._socket.listen()
        certificate, key = self.tls or (None, None)
        config = uvicorn.Config(
            self.app(),
            log_level="critical",
            lifespan="off",
            ws="none",
            loop="asyncio",
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop answering: the port is closed."""
        if self._server is not None and self._thread is not None:
            self.faults.clear()
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None
        self._socket.close()

    def reset(self, clock: Clock) -> None:
        """Be as new for the next test, on the same port: new keys, no faults, nothing asked for yet."""
        if self._server is None:
            self.start()
        self.clock = clock
        self.faults.clear()
        self.keys = [make_key(self.keys[0].alg)]
        self.requests.clear()
        self.access_typ, self.id_token_on_refresh = "at+jwt", True
        self.grants = Grants(self, self.grants.users, list(self.grants.clients.values()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def until_asked(self, path: str) -> None:
        """Wait until somebody has asked for the path."""
        while path not in self.requests:  # asked in another thread
            await asyncio.sleep(0.001)

    # Keys and tokens

    def rotate(self, alg: str = "RS256", *, keep_old: bool = False) -> Key:
        """Sign with a new key from now on; the old ones leave the key set unless kept."""
        key = make_key(alg)
        self.keys = [key, *(self.keys if keep_old else [])]
        return key

    def jwks(self) -> dict[str, Any]:
        return {"keys": [k.jwk() for k in self.keys]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims of an access token for the first user, changed; None removes a claim."""
        now = int(self.clock.now())
        base = {
            "iss": self.url,
            "sub": "u-alice",
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(8),
            "client_id": "holdpoint-cli",
            "email": "alice@corp.example",
            "name": "Alice Archer",
            "groups": ["dev"],
            "scope": "openid",
        }
        return {k: v for k, v in (base | changes).items() if v is not None}

    def mint(
        self,
        claims: dict[str, Any] | bytes | None = None,
        *,
        header: dict[str, Any] | bytes | None = None,
        key: Key | None = None,
    ) -> str:
        """Make a token: `claims` and `header` change the good ones (None removes), raw bytes replace them."""
        key = key or self.keys[0]
        good = {"typ": self.access_typ, "alg": key.alg, "kid": key.kid}
        used = (
            header if isinstance(header, bytes) else {k: v for k, v in (good | (header or {})).items() if v is not None}
        )
        return sign(used, claims if isinstance(claims, bytes) else self.claims(**(claims or {})), key)

    def mint_id_token(
        self, claims: dict[str, Any] | None = None, *, header: dict[str, Any] | None = None, key: Key | None = None
    ) -> str:
        """Make an ID token of a reviewer for client `holdpoint-console`, changed as `mint` changes."""
        id_claims = {
            "sub": "u-rita",
            "email": "rita@corp.example",
            "email_verified": True,
            "name": "Rita Reviewer",
            "groups": ["sre"],
            "aud": "holdpoint-console",
            "client_id": None,
            "jti": None,
            "scope": None,
        }
        return self.mint(id_claims | (claims or {}), header={"typ": "JWT"} | (header or {}), key=key)

    # HTTP

    def app(self) -> ASGIApp:
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/register", self._register, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/device_authorization", self._device_authorization, methods=["POST"]),
                Route("/device", self._device, methods=["GET", "POST"]),
                Route("/elsewhere", self._jwks),
            ]
        )
        return self._misbehave(app)

    def _misbehave(self, app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            self.requests.append(path)
            while self.faults.of(path) == "hang":  # the switch is thrown from another thread
                await asyncio.sleep(0.01)
            answer: ASGIApp
            match self.faults.of(path):
                case "error":
                    answer = PlainTextResponse("broken", 500)
                case "garbage":
                    answer = PlainTextResponse("<html>not json</html>")
                case "redirect":
                    answer = RedirectResponse("/elsewhere")
                case "huge":
                    answer = JSONResponse({"keys": [], "padding": "x" * 70_000})
                case "gzip":
                    answer = Response(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
                case "foreign":
                    answer = JSONResponse(self._document() | {"issuer": "https://evil.example"})
                case "empty":
                    answer = JSONResponse({"keys": []})
                case _:
                    answer = app
            await answer(scope, receive, send)

        return middleware

    def _document(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "device_authorization_endpoint": f"{self.url}/device_authorization",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "device_code"],
            "scopes_supported": ["openid", "email", "profile", "groups"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(self._document())

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(self.jwks())

    async def _authorize(self, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        query = dict(request.query_params)
        try:
            redirect = self.grants.check_authorization(query)
        except OAuthError as error:
            return PlainTextResponse(str(error), 400)
        if request.method == "GET":
            return login_page(query)
        user = self.grants.user_by_password(form)
        if user is None:
            return login_page(query, message="wrong e-mail or password")
        code = self.grants.issue_code(query, user)
        answer = {"code": code, "state": query.get("state", ""), "iss": self.url}
        mark = "&" if urlsplit(redirect).query else "?"
        return RedirectResponse(redirect + mark + urlencode(answer), 303)

    async def _register(self, request: Request) -> Response:
        try:
            return JSONResponse(self.grants.register(await request.json()), 201, headers={"Cache-Control": "no-store"})
        except OAuthError as error:
            return JSONResponse({"error": error.code, "error_description": str(error)}, 400)

    async def _token(self, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        headers = {"Cache-Control": "no-store"}
        try:
            return JSONResponse(self.grants.token(form, request.headers.get("authorization", "")), headers=headers)
        except OAuthError as error:
            return JSONResponse({"error": error.code, "error_description": str(error)}, 400, headers=headers)

    async def _device_authorization(self, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        try:
            return JSONResponse(self.grants.issue_device_code(form))
        except OAuthError as error:
            return JSONResponse({"error": error.code, "error_description": str(error)}, 400)

    async def _device(self, request: Request) -> Response:
        query = dict(request.query_params)
        if request.method == "GET":
            return login_page(query, device=True)
        form = {k: str(v) for k, v in (await request.form()).items()}
        user = self.grants.user_by_password(form)
        if user is None or not self.grants.answer_device(form.get("user_code", ""), user):
            return login_page(query | form, device=True, message="wrong e-mail, password or code")
        return PlainTextResponse("you are logged in on the device; you may close this page")


def default_users() -> list[dict[str, Any]]:
    return [
        {
            "sub": "u-alice",
            "email": "alice@corp.example",
            "name": "Alice Archer",
            "groups": ["dev"],
            "password": "alice",
        },
        {"sub": "u-rita", "email": "rita@corp.example", "name": "Rita Reviewer", "groups": ["sre"], "password": "rita"},
    ]


def default_clients() -> list[dict[str, Any]]:
    return [
        {"client_id": "holdpoint-cli", "redirect_uris": ["http://127.0.0.1/callback"]},
        {"client_id": "holdpoint-console", "redirect_uris": ["http://127.0.0.1/auth/callback"]},
        {
            "client_id": "agent",
            "client_secret": "agent-secret",
            "grant_types": ["client_credentials"],
            "claims": {"groups": ["agents"]},
        },
    ]


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="an identity provider for tests and the demo only")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--users", type=Path, required=True)
    parser.add_argument("--audience", default="https://gateway.example", help="`aud` where no resource is asked for")
    options = parser.parse_args()
    accounts = json.loads(options.users.read_text("utf-8"))  # a fake, given a file by the demo
    issuer = FakeIssuer(
        users=accounts["users"], clients=accounts["clients"], port=options.port, audience=options.audience
    )
    with issuer:
        print(f"FOR TESTS AND THE DEMO ONLY: {issuer.url}", flush=True)  # it is a program here
        threading.Event().wait()


if __name__ == "__main__":
    main()
