"""As much of a Kubernetes API server as an MCP server needs: discovery, access reviews, namespaces, pods, a secret.

It takes one bearer token, over TLS, for clients send theirs over nothing else. Lists are Tables, as clients ask for
them; every name and every value is invented.
"""

import base64
import hmac
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.fakes.serving import Handler, Threaded
from tests.fakes.wire import certificate

TOKEN = "token-of-the-mcp-server-at-the-cluster"
PASSWORD = "correct-horse-of-the-billing-database"
ENCODED = base64.b64encode(PASSWORD.encode()).decode()
"""The password as it stands in the Secret."""

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: fake, cluster: {{server: "{url}", certificate-authority: "{authority}"}}}}]
users: [{{name: agent, user: {{token: "{token}"}}}}]
contexts: [{{name: fake, context: {{cluster: fake, user: agent, namespace: shop}}}}]
current-context: fake
"""

_CREATED = "2026-11-01T12:00:00Z"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _resource(plural: str, kind: str, *verbs: str, namespaced: bool = True) -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Namespaced" if namespaced else "Cluster",
        "singularResource": kind.lower(),
        "verbs": list(verbs),
    }


_READ = ("get", "list", "watch")
_CORE = [
    _resource("namespaces", "Namespace", *_READ, namespaced=False),
    _resource("pods", "Pod", *_READ, "delete"),
    _resource("secrets", "Secret", *_READ, "delete"),
]


def _groups(*groups: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None},
            "versions": [{"version": "v1", "freshness": "Current", "resources": resources}],
        }
        for name, resources in groups
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


_REVIEWS = [_resource("selfsubjectaccessreviews", "SelfSubjectAccessReview", "create", namespaced=False)]


def _metadata(name: str, namespace: str = "") -> dict[str, Any]:
    return {"name": name, "creationTimestamp": _CREATED, **({"namespace": namespace} if namespace else {})}


def _table(columns: list[str], rows: list[tuple[str, str, list[str]]]) -> dict[str, Any]:
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "1"},
        "columnDefinitions": [
            {"name": c, "type": "string", "format": "", "description": c, "priority": 0} for c in columns
        ],
        "rows": [
            {
                "cells": cells,
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": _metadata(name, namespace),
                },
            }
            for name, namespace, cells in rows
        ],
    }


_SECRET = {
    "kind": "Secret",
    "apiVersion": "v1",
    "metadata": _metadata("billing-db", "shop"),
    "type": "Opaque",
    "data": {"password": ENCODED},
}
_ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "/version": ("application/json", {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}),
    "/api": (_DISCOVERY, _groups(("", _CORE))),
    "/apis": (_DISCOVERY, _groups(("authorization.k8s.io", _REVIEWS))),
    "/api/v1/namespaces": (
        "application/json",
        _table(["Name", "Status", "Age"], [(n, "", [n, "Active", "20d"]) for n in ("default", "shop")]),
    ),
    "/api/v1/namespaces/shop/pods": (
        "application/json",
        _table(["Name", "Ready", "Status"], [("billing-0", "shop", ["billing-0", "1/1", "Running"])]),
    ),
    "/api/v1/namespaces/shop/secrets/billing-db": ("application/json", _SECRET),
}


class _Handler(Handler, BaseHTTPRequestHandler):
    seen: list[str]
    tokens: set[str]

    def do_GET(self) -> None:
        kind, answer = _ANSWERS.get(self._path, ("application/json", {}))
        self._answer(200 if answer else 404, kind, answer or self._status("NotFound", 404))

    def do_POST(self) -> None:
        # What is asked comes as protobuf; the answer does not depend on it.
        review = {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {"allowed": True},
        }
        self._answer(201, "application/json", review)

    def do_DELETE(self) -> None:
        self._answer(200, "application/json", {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _status(self, reason: str, code: int) -> dict[str, Any]:
        return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}

    def _answer(self, status: int, kind: str, answer: dict[str, Any]) -> None:
        self.heard()
        self.seen.append(f"{self.command} {self._path}")
        self.tokens.add(self.headers.get("authorization", "").removeprefix("Bearer "))
        if not hmac.compare_digest(self.headers.get("authorization", ""), f"Bearer {TOKEN}"):
            status, kind, answer = 401, "application/json", self._status("Unauthorized", 401)
        self.say(status, json.dumps(answer).encode(), kind)


class KubeApi(Threaded):
    """The server on a port of its own, in threads. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._authority, key = certificate(folder / "kube-api")
        self.seen: list[str] = []
        """Method and path of every request."""
        self.tokens: set[str] = set()
        """Every token that somebody came with."""
        handler = type("Handler", (_Handler,), {"seen": self.seen, "tokens": self.tokens})
        super().__init__(handler, tls=(self._authority, key))

    def write_kubeconfig(self, file: Path, token: str) -> Path:
        """Write a kubeconfig with a token; returns the file."""
        file.write_text(KUBECONFIG.format(url=self.url, authority=self._authority, token=token))
        file.chmod(0o600)
        return file
