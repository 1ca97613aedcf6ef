"""Who appears in the demo, and how they use the command line."""

import subprocess
from dataclasses import dataclass
from typing import Any

import httpx
from tests.demo.layout import HOLDPOINT, ROOT, Layout

AGENT = "agent-7"
AGENT_SECRET = "agent-7-client-secret"


@dataclass(frozen=True, slots=True)
class Person:
    """A human with a password."""

    short: str
    name: str
    group: str

    @property
    def email(self) -> str:
        return f"{self.short}@example.com"

    @property
    def password(self) -> str:
        return f"{self.short}-demo"

    def account(self) -> dict[str, Any]:
        """Return what the identity provider knows."""
        return {
            "sub": f"u-{self.short}",
            "email": self.email,
            "name": self.name,
            "groups": [self.group],
            "password": self.password,
        }


ALICE = Person("alice", "Alice Archer", "developers")
RITA = Person("rita", "Rita Reviewer", "reviewers")
OMAR = Person("omar", "Omar Other", "reviewers")
"""A second reviewer, for rules that ask for two."""
PEOPLE = (ALICE, RITA, OMAR)

CLIENTS: list[dict[str, Any]] = [
    {"client_id": "holdpoint-cli", "redirect_uris": ["http://127.0.0.1/callback"]},
    {"client_id": "holdpoint-console", "redirect_uris": ["http://127.0.0.1/auth/callback"]},
    {
        "client_id": AGENT,
        "client_secret": AGENT_SECRET,
        "grant_types": ["client_credentials"],
        "claims": {"name": "Agent 7", "groups": ["agents"]},
    },
]


def plain_client() -> httpx.Client:
    """Return an HTTP client that no environment bends."""
    return httpx.Client(trust_env=False, timeout=30)


def agent_token(layout: Layout, resource: str) -> str:
    """Return an access token of the agent, by client credentials."""
    form = {"grant_type": "client_credentials", "resource": resource}
    with plain_client() as client:
        answer = client.post(f"{layout.issuer}/token", data=form, auth=(AGENT, AGENT_SECRET))
        answer.raise_for_status()
        return str(answer.json()["access_token"])


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


def holdpoint(layout: Layout, person: Person | None, *arguments: str) -> Ran:
    """Run the real command line as a person."""
    done = subprocess.run(  # our own program, our own arguments
        [*HOLDPOINT, *arguments],
        env=layout.environment(person.short if person else ""),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout.rstrip(), done.stderr.rstrip())
