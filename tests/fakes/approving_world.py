"""Approvals as people meet them: a cluster and notes behind one gateway, the console, a certified identity provider.

Two roads lead to the gateway: kubectl, and an MCP client of the SDK. Reviewers, and requesters who look at what they
asked for, log in at the provider by its own pages.
"""

import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.kube_kinds import kinds
from tests.fakes.kube_store import ApiError
from tests.fakes.node_parts import NODE, need
from tests.fakes.notes_server import NotesServer
from tests.fakes.preview_world import AROUND, WEB, PreviewWorld
from tests.fakes.processes import Program, free_port

ALICE = "alice@corp.example"
"""Who asks; her agent is `claude`."""
NOTES_TOKEN = "upstream-token-of-the-notes"
RULES = """\
  - name: look
    effect: allow
    match: {verbs: [get, post], paths: ["/*"]}
  - name: read
    effect: allow
    match: {verbs: [get, list, watch], resources: ["*", "*/*"]}
  - name: deletions-are-reviewed
    effect: hold
    match: {verbs: [delete, deletecollection], resources: ["*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 20m, preview: required}
    reason: what is deleted does not come back
  - name: changes-are-reviewed
    effect: hold
    match: {verbs: [create, update, patch], resources: [deployments, services]}
    approval: {reviewers: ["group:reviewers"], timeout: 20m}
    reason: somebody else reads what changes in the shop
  - name: scaling-has-windows
    effect: hold
    match: {verbs: [update, patch], resources: [deployments/scale]}
    approval: {reviewers: ["group:reviewers"], timeout: 20m, grant: {scope: window, for: 15m}}
    reason: capacity costs money
  - name: configuration-needs-a-reason
    effect: hold
    match: {verbs: [create, update, patch], resources: [configmaps]}
    approval:
      reviewers: ["group:reviewers"]
      timeout: 20m
      require_reason: true
      break_glass: {who: ["person:alice@corp.example"], for: 15m}
    reason: configuration is live at once
---
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: notes}
targets: [notes]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, "notifications/*", ping, tools/list, server/discover, session/listen, session/delete]}
  - name: notes-take-two
    effect: hold
    match: {verbs: [tools/call], tools: [write_note]}
    approval: {reviewers: ["group:reviewers"], required: 2, timeout: 20m}
    reason: everybody reads the runbook, so two agree on it
"""
TARGETS = """\
  - name: notes
    protocol: mcp
    url: {notes}
    routes: [/mcp/notes]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
"""
SHOP_CONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "prices"},
    "data": {"currency": "EUR", "discount": "0"},
}


class ApprovingWorld(PreviewWorld):
    """Gateway, console and provider; all of them run inside the context."""

    def __init__(self, folder: Path) -> None:
        self.around = contextlib.ExitStack()
        self.provider_port = free_port()
        self.notes = NotesServer(token=NOTES_TOKEN)
        super().__init__(folder, rules=RULES)
        self.env = {"NOTES_TOKEN": NOTES_TOKEN}
        self.callers: list[Program] = []
        self.restock()

    @property
    def provider(self) -> str:
        """Where people log in."""
        return f"http://127.0.0.1:{self.provider_port}"

    @property
    def pages(self) -> str:
        """Where the console is."""
        return f"http://127.0.0.1:{self.console}"

    def write_settings(self, **changes: str) -> None:
        self.more_targets = TARGETS.format(notes=self.notes.url)
        npm = (
            f"issuers:\n  - name: corp-login\n    url: {self.provider}\n    algorithms: [RS256]\n"
            f'    audiences: ["{self.url}"]\n  - name: test\n'
        )
        ours = {
            "issuers:\n  - name: test\n": npm,
            "reviewers: {issuers: [test], max_age: 12h}": "reviewers: {issuers: [corp-login], confirm: login}",
            "issuer: test, client_id: holdpoint-console}": (
                "issuer: corp-login, client_id: holdpoint-console, "
                "signing: {id: console-1, file: var/keys/console.pem, create: true}}"
            ),
        }
        super().write_settings(**ours, **changes)

    def __enter__(self) -> Self:
        need("oidc-provider")
        with self.around as stack:
            stack.enter_context(self.notes)
            provider = Program(
                ["node", "provider.mjs", str(self.provider_port), self.url], cwd=NODE, env={"CONSOLE": self.pages}
            )
            stack.callback(provider.stop)
            super().__enter__()
            stack.callback(super().__exit__, None, None, None)
            provider.wait_for("provider at")
            self.launch()
            console = Program([sys.executable, "-m", "holdpoint.cli", "--config", str(self.settings_file), "console"])
            stack.callback(console.stop)
            assert self.gateway is not None
            self.gateway.wait_for("holdpoint: serving")
            console.wait_for("holdpoint: the console is at")
            self.around = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.gateway is not None:
            print(self.gateway.output)
        self.around.close()

    def close(self) -> None:
        self.notes.end()
        super().close()

    # Who asks, and with what

    def token(self, sub: str = "u-alice", **claims: Any) -> str:
        """Alice's, by her agent."""
        return super().token(sub, **{"act": {"sub": "claude"}, **claims})

    def restock(self) -> None:
        """Have the shop as it was at first."""
        for one in (WEB, *AROUND, SHOP_CONFIG):
            kind = next(k for k in kinds().values() if (k.api_version, k.kind) == (one["apiVersion"], one["kind"]))
            with contextlib.suppress(ApiError):
                self.cluster.store.delete(kind, "shop", one["metadata"]["name"])
            self.cluster.put(one, "shop")

    def write_note(self, name: str, text: str) -> Program:
        """Start an MCP client of the SDK that calls the tool, and waits for its result."""
        command = [sys.executable, "-m", "tests.demo.call", "--url", f"{self.base}/mcp/notes", "write_note"]
        env = {"HOLDPOINT_TOKEN": self.token(), "SSL_CERT_FILE": str(self.certificate)}
        self.callers.append(Program([*command, f"name={name}", f"text={text}"], env=env))
        return self.callers[-1]

    def spawn(self, *args: str, config: Path | None = None, program: str = "") -> Program:
        self.callers.append(super().spawn(*args, config=config, program=program))
        return self.callers[-1]

    def hang_up(self) -> None:
        """End every client that still waits."""
        while self.callers:
            self.callers.pop().stop()

    def verify(self, *arguments: str) -> tuple[int, str]:
        """Run `holdpoint approvals verify`."""
        command = ["holdpoint.cli", "--config", str(self.settings_file), "approvals", "verify", *arguments]
        program = Program([sys.executable, "-m", *command])
        return program.wait(), program.output
