"""Clients on the TypeScript SDKs (tests/node/client-v1.mjs and client-v2.mjs): other people's code at the other end."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from tests.fakes.node_parts import NODE, need, node22
from tests.fakes.processes import Program

type Era = Literal["v1", "v2"]
"""`v1`: SDK 1.x, 2025-11-25 with sessions. `v2`: SDK 2.x, 2026-07-28."""

ERAS: tuple[Era, ...] = ("v1", "v2")

_PACKAGES = {"v1": "@modelcontextprotocol/sdk", "v2": "@modelcontextprotocol/client"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation."""

    operation: str
    seconds: float
    result: Any = None
    error: Mapping[str, Any] | None = None
    """`name` of the SDK's class, `message`, and `code` and `data` where there are any."""

    @property
    def text(self) -> str:
        """The text of a tool's result. Raises AssertionError if there is none."""
        assert self.error is None, self.error
        texts = [part["text"] for part in self.result["content"] if part["type"] == "text"]
        assert texts, self.result
        return "\n".join(texts)


class TypeScriptClient:
    """One client with one script, in the background until `finish`. A context manager.

    `operations` are listed in tests/node/client-script.mjs; `script` are the other keys there (`elicitation`,
    `sampling`, `roots`, `negotiation`). Timeouts that no operation names are the SDK's own: 60 s.
    """

    def __init__(self, era: Era, url: str, token: str, operations: Sequence[Mapping[str, Any]], **script: Any) -> None:
        need(_PACKAGES[era])
        command = [str(node22()), f"client-{era}.mjs", url, json.dumps({**script, "operations": list(operations)})]
        self._program = Program(command, env={"MCP_TOKEN": token}, cwd=NODE)

    def __enter__(self) -> "TypeScriptClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.stop()
        if kind is not None:
            print(self._program.output)

    def wait_for(self, text: str, *, timeout: float = 60.0) -> dict[str, Any]:
        """Return the first line from now on that holds `text`. Raises RuntimeError if none comes."""
        line: dict[str, Any] = json.loads(self._program.wait_for(text, timeout=timeout))
        return line

    def finish(self, *, timeout: float = 60.0) -> list[Outcome]:
        """Wait for the end and return what became of each operation, `connect` first."""
        self._program.wait(timeout=timeout)
        return [
            Outcome(line["operation"], line["seconds"], line.get("result"), line.get("error"))
            for line in self._lines()
            if "operation" in line
        ]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What the server asked so far: `asked` is the method, `params` what it said."""
        return [line for line in self._lines() if "asked" in line]

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """What the server told so far: `notification` is the method; progress has `progress` instead."""
        return [line for line in self._lines() if "notification" in line or "progress" in line]

    @property
    def output(self) -> str:
        """Everything it said so far."""
        return self._program.output

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in list(self._program.lines):
            assert line.startswith("{"), f"not a line of the client: {self._program.output}"
            yield json.loads(line)


def run(
    era: Era, url: str, token: str, operations: Sequence[Mapping[str, Any]], **script: Any
) -> tuple[TypeScriptClient, list[Outcome]]:
    """Run a script to its end."""
    with TypeScriptClient(era, url, token, operations, **script) as client:
        return client, client.finish()
