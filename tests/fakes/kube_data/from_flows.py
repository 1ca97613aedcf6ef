"""Makes discovery.json and columns.json out of recorded traffic with a real API server: from_flows.py FLOWS..."""

import json
import sys
from pathlib import Path
from typing import Any

from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader

FOLDER = Path(__file__).resolve().parent
_DROPPED = ("internal.", "flowcontrol.", "resource.k8s.io")


def _answers(file: Path) -> list[tuple[str, Any]]:
    found = []
    with file.open("rb") as opened:
        for flow in FlowReader(opened).stream():
            if not isinstance(flow, HTTPFlow) or flow.response is None or flow.response.status_code != 200:
                continue
            if "json" in flow.response.headers.get("content-type", "") and flow.response.content:
                try:
                    found.append((flow.request.path.partition("?")[0], json.loads(flow.response.content)))
                except ValueError:
                    continue  # a stream of events
    return found


def main(files: list[Path]) -> None:
    """Write both files beside this one."""
    discovery: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for path, answer in (pair for file in files for pair in _answers(file)):
        if answer.get("kind") == "APIGroupDiscoveryList":
            kept = [i for i in answer["items"] if not i["metadata"].get("name", "").startswith(_DROPPED)]
            for item in kept:
                name = item["metadata"].get("name", "")
                if name.endswith(".example.org"):
                    item["metadata"]["name"] = "shop.example.org"
                    item["versions"][0]["resources"][0]["responseKind"]["group"] = "shop.example.org"
            discovery[path] = {**answer, "items": kept}
        if answer.get("kind") == "Table":
            group = path.split("/")[2] + "/" if path.startswith("/apis/") else ""
            parts = path.split("/")
            resource = parts[parts.index("namespaces") + 2] if "namespaces" in parts[:-2] else parts[-1]
            if "-" in resource:  # a namespace by its name
                continue
            columns[group + resource] = [
                {k: (v.split(". ")[0].split("\n")[0] if k == "description" else v) for k, v in c.items()}
                for c in answer["columnDefinitions"]
            ]
    (FOLDER / "discovery.json").write_text(json.dumps(discovery, separators=(",", ":"), sort_keys=True) + "\n")
    (FOLDER / "columns.json").write_text(json.dumps(columns, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main([Path(a) for a in sys.argv[1:]])
