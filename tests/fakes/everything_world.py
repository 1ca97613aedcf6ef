"""A gateway in front of the everything server, with a policy that permits whatever the server offers and asks."""

from pathlib import Path
from types import TracebackType

from tests.fakes.everything_server import EverythingServer
from tests.fakes.world import UPSTREAM_TOKEN, World

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: everything}
targets: [everything]
rules:
  - name: methods
    effect: allow
    match:
      verbs:
        - initialize
        - ping
        - server/discover
        - logging/setLevel
        - subscriptions/listen
        - prompts/list
        - resources/list
        - resources/templates/list
        - tools/list
        - "notifications/*"
        - "session/*"
        - "unknown/*"
  - name: tools
    effect: allow
    match: {verbs: [tools/call], tools: ["*"]}
  - name: prompts
    effect: allow
    match: {verbs: [prompts/get, completion/complete], prompts: ["*"]}
  - name: resources
    effect: allow
    match: {verbs: [resources/read, resources/subscribe, resources/unsubscribe, completion/complete], uris: ["*"]}
  - name: questions
    effect: allow
    match: {server_requests: ["*"]}
"""

TARGET = """\
  - name: everything
    protocol: mcp
    url: {url}
    routes: [/mcp/everything]
    credential: {{kind: static, from: {{env: NOTES_TOKEN}}}}
"""


class EverythingWorld(World):
    """A World whose gateway has one more target: an everything server that takes the gateway's credential alone."""

    def __init__(self, folder: Path) -> None:
        self.everything = EverythingServer(token=UPSTREAM_TOKEN)
        super().__init__(folder, more_targets=TARGET.format(url=self.everything.url))
        (self.policies / "everything.yaml").write_text(POLICY)
        self.write_settings(**{"policies: [demo.yaml,": "policies: [demo.yaml, everything.yaml,"})
        self.everything_url = f"{self.base}/mcp/everything"
        """URL of the target at the gateway."""

    def __enter__(self) -> "EverythingWorld":
        self.everything.__enter__()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self.everything.__exit__(kind, error, trace)
