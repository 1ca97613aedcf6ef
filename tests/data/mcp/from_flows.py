"""Make the JSONL files beside this script from flow files of the conformance suite.

    python tests/data/mcp/from_flows.py mcp-2025-06-18.flows mcp-2025-11-25.flows mcp-2026-07-28.flows

The flows were recorded through a mitmdump 12.2 that streams every answer, between the suite (0.2.0-alpha.12, `--suite
all --spec-version` as in the name of the file) and the everything server of the Python SDK 2.3. The version says which
scenarios ran: those up to 2025-11-25 all speak 2025-11-25 on the wire. A line is one HTTP exchange:

    {"method": "POST", "headers": [["content-type", "application/json"], ...], "body": "...",
     "status": 200, "content_type": "text/event-stream", "answer": "..."}

Of exchanges that differ in ids, sessions, event ids, sealed states and times alone the first is kept; headers that say
nothing to MCP are left out. An answer that never ended (`subscriptions/listen`, a GET) is empty.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mitmproxy import http
from mitmproxy.io import FlowReader

KEPT = ("content-type", "accept", "last-event-id", "origin")
VARIES = (
    (re.compile(r'"id":(\d+|"[^"]*")'), '"id":0'),
    (re.compile(r"(?m)^id: .*$"), "id: 0"),
    (re.compile(r'"requestState":"[^"]*"'), '"requestState":"sealed"'),
    (re.compile(r'"progressToken":("[^"]*"|\d+)'), '"progressToken":0'),
)


def main() -> None:
    """Write a file for each flow file that is named."""
    for name in sys.argv[1:]:
        flows = Path(name)
        lines = list(exchanges(flows))
        out = Path(__file__).with_name(flows.stem.removeprefix("mcp-") + ".jsonl")
        out.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        print(f"{out.name}: {len(lines)} exchanges, {out.stat().st_size} bytes")


def exchanges(flows: Path) -> Iterator[dict[str, object]]:
    """Read a flow file; yields what is kept of it."""
    seen: set[str] = set()
    with flows.open("rb") as file:
        for flow in FlowReader(file).stream():
            if isinstance(flow, http.HTTPFlow) and flow.response is not None:
                line = kept(flow.request, flow.response)
                if (shape := blurred(line)) not in seen:
                    seen.add(shape)
                    yield line


def kept(request: http.Request, response: http.Response) -> dict[str, object]:
    """Return what matters of an exchange."""
    headers = [[n.lower(), v] for n, v in request.headers.items(multi=True) if is_kept(n.lower())]
    return {
        "method": request.method,
        "headers": headers,
        "body": request.get_text(strict=True) or "",
        "status": response.status_code,
        "content_type": response.headers.get("content-type", ""),
        "answer": response.get_text(strict=True) or "",
    }


def is_kept(header: str) -> bool:
    """Tell whether a header says something to MCP."""
    return header in KEPT or header.startswith("mcp-")


def blurred(line: dict[str, object]) -> str:
    """Return the shape of an exchange: equal for those that differ in what varies from run to run."""
    headers = [[n, "" if n in ("mcp-session-id", "last-event-id") else v] for n, v in line["headers"]]
    text = json.dumps([line["method"], headers, line["status"]]) + f"{line['body']}\n{line['answer']}"
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return text


if __name__ == "__main__":
    main()
