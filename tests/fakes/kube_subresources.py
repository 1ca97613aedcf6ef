"""What the test API server answers to paths below an object, and to reviews."""

import base64
import datetime as dt
import json
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fakes.kube_identity import User
from tests.fakes.kube_kinds import kind_of
from tests.fakes.kube_server_http import Request
from tests.fakes.kube_store import ApiError, Object, Store, conflict

if TYPE_CHECKING:
    from tests.fakes.kube_server_api import Place

Answer = tuple[int, Any]


class Subresources:
    """Scale, eviction, tokens, reviews and the like."""

    def __init__(self, store: Store, url: Callable[[], str]) -> None:
        self._store, self._url = store, url
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.forbidden: set[tuple[str, str]] = set()
        """Verb and resource of what reviews say no to."""
        self.tokens: dict[str, dict[str, Any]] = {}
        """What TokenReview knows: user info by token, besides those of service accounts."""

    def answer(  # noqa: C901  # a table, one case each
        self, request: Request, place: "Place", body: Any, user: User, *, dry_run: bool
    ) -> Answer | None:
        """Return status and body, or None for what is a plain object. Raises ApiError."""
        match place.kind.plural, place.sub:
            case "selfsubjectaccessreviews" | "localsubjectaccessreviews" | "subjectaccessreviews", _:
                asked = body["spec"].get("resourceAttributes") or body["spec"].get("nonResourceAttributes")
                no = (asked.get("verb", ""), asked.get("resource", asked.get("path", ""))) in self.forbidden
                return 201, _review(body, {"allowed": not no} | ({"reason": "no rule of RBAC"} if no else {}))
            case "selfsubjectrulesreviews", _:
                every = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
                paths = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
                return 201, _review(body, {"resourceRules": every, "nonResourceRules": paths, "incomplete": False})
            case "selfsubjectreviews", _:
                info: Object = {"username": user.name, "groups": list(user.groups)} | (
                    {"uid": user.uid} if user.uid else {}
                )
                if user.extra:
                    info["extra"] = user.extra
                return 201, _review(body, {"userInfo": info})
            case "tokenreviews", _:
                return 201, _review(body, self._token_status(body["spec"]["token"]))
            case "serviceaccounts", "token":
                return 201, self._token(place, body)
            case "pods", "eviction":
                self._store.delete(place.kind, place.namespace, place.name, dry_run=dry_run)
                return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
            case "pods", "binding":
                return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
            case _, "scale":
                return 200, self._scale(request, place, body, dry_run=dry_run)
            case (("pods" | "services" | "nodes"), "proxy"):
                return 200, {"proxied": "/".join(place.rest), "method": request.method}
        if place.sub not in {"", "status", "finalize", "ephemeralcontainers", "approval", "resize"}:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        return None

    def _scale(self, request: Request, place: "Place", body: Any, *, dry_run: bool) -> Object:
        where = (place.kind, place.namespace, place.name)
        found = self._store.get(*where)
        if request.method in {"PUT", "PATCH"}:
            wanted = body["spec"]["replicas"]

            def change(old: Object) -> Object:
                return {**old, "spec": {**old["spec"], "replicas": wanted}}

            version = (body.get("metadata") or {}).get("resourceVersion")
            if version not in {None, "", found["metadata"]["resourceVersion"]}:
                raise conflict(place.kind, place.name)
            made = self._store.update(*where, change, dry_run=dry_run)
            found = made if dry_run else self._store.get(*where)
        meta, labels = found["metadata"], found["spec"]["selector"].get("matchLabels", {})
        head = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
        status = {
            "replicas": found.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in labels.items()),
        }
        spec = {"replicas": found["spec"]["replicas"]}
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": head, "spec": spec, "status": status}

    def _token(self, place: "Place", body: Object) -> Object:
        account = self._store.get(place.kind, place.namespace, place.name)
        spec = {"expirationSeconds": 3600} | (body.get("spec") or {})
        spec["audiences"] = spec.get("audiences") or ["https://kubernetes.default.svc"]
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        until = now + dt.timedelta(seconds=spec["expirationSeconds"])
        named = {"name": place.name, "uid": account["metadata"]["uid"]}
        claims = {
            "aud": spec["audiences"],
            "exp": until,
            "iat": now,
            "iss": self._url(),
            "jti": secrets.token_hex(8),
            "kubernetes.io": {"namespace": place.namespace, "serviceaccount": named},
            "sub": f"system:serviceaccount:{place.namespace}:{place.name}",
        }
        token = jwt.encode(claims, self._key, algorithm="ES256")
        status = {"token": token, "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        head = {"name": place.name, "namespace": place.namespace, "uid": account["metadata"]["uid"]}
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": head,
            "spec": spec,
            "status": status,
        }

    def _token_status(self, token: str) -> Object:
        if token in self.tokens:
            return {"authenticated": True, "user": self.tokens[token]}
        try:
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            jwt.decode(token, self._key.public_key(), algorithms=["ES256"], options={"verify_aud": False})
            about = claims["kubernetes.io"]
            self._store.get(kind_of("", "serviceaccounts"), about["namespace"], about["serviceaccount"]["name"])
        except (ApiError, ValueError, KeyError, IndexError, jwt.PyJWTError):
            return {"authenticated": False, "error": "invalid bearer token"}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{about['namespace']}", "system:authenticated"]
        return {
            "authenticated": True,
            "audiences": claims["aud"],
            "user": {"username": claims["sub"], "groups": groups},
        }


def _review(body: Object, status: Object) -> Object:
    return {**body, "metadata": body.get("metadata") or {}, "status": status}
