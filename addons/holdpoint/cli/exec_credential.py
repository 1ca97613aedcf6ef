"""What kubectl and its credential plugins say to each other (client.authentication.k8s.io, `ExecCredential`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdpoint.cli.common import Failure
from holdpoint.domain.values import as_object, as_text
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable

INFO = "KUBERNETES_EXEC_INFO"
GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
"""That client-go speaks; the first is what `holdpoint kubeconfig` writes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client of Kubernetes asks its plugin."""

    api_version: str
    is_interactive: bool
    """A person is at the terminal, and standard input is theirs."""


def asked(environment: Mapping[str, str]) -> Asked | None:
    """Return what the client asks; None where no client of Kubernetes started this. Raises Failure."""
    text = environment.get(INFO, "")
    if not text:
        return None
    try:
        info = as_object(strict_json.loads(text.encode()))
    except (Undecodable, UnicodeError):
        raise Failure(f"${INFO} is not JSON") from None
    version = as_text(info.get("apiVersion"))
    if info.get("kind") != "ExecCredential" or version not in VERSIONS:
        known = " and ".join(VERSIONS)
        raise Failure(f"the client asks for another kind or version of credential than {known}")
    return Asked(version, as_object(info.get("spec")).get("interactive") is True)


def answer(api_version: str, token: str, expires_at: float) -> str:
    """Return the credential as one line of JSON. `expires_at`: Unix seconds at which the client shall ask again."""
    status: dict[str, Any] = {
        "token": token,
        "expirationTimestamp": datetime.fromtimestamp(int(expires_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps({"apiVersion": api_version, "kind": "ExecCredential", "status": status})
