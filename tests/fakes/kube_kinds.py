"""What the test API server serves: its kinds, from a real server's discovery, and discovery in every form."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "kube_data"


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of one version of a group."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    subresources: tuple[str, ...]

    @property
    def api_version(self) -> str:
        """As an object says it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def store(self) -> tuple[str, str]:
        """What versions share."""
        return self.group, self.plural

    @property
    def qualified(self) -> str:
        """As messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@functools.cache
def aggregated() -> dict[str, dict[str, Any]]:
    """Discovery of a real server, by path."""
    found: dict[str, dict[str, Any]] = json.loads((DATA / "discovery.json").read_text())
    return found


@functools.cache
def kinds() -> dict[tuple[str, str, str], Kind]:
    """Every resource, by group, version and plural."""
    found: dict[tuple[str, str, str], Kind] = {}
    for document in aggregated().values():
        for item in document["items"]:
            group = item["metadata"].get("name", "")
            for version in item["versions"]:
                for one in version["resources"]:
                    found[group, version["version"], one["resource"]] = Kind(
                        group,
                        version["version"],
                        one["resource"],
                        one["responseKind"]["kind"],
                        one["singularResource"],
                        one["scope"] == "Namespaced",
                        tuple(one["verbs"]),
                        tuple(s["subresource"] for s in one.get("subresources", ())),
                    )
    return found


def kind_of(group: str, plural: str) -> Kind:
    """The preferred version of a resource. Raises KeyError."""
    for found in kinds().values():
        if (found.group, found.plural) == (group, plural):
            return found
    raise KeyError(plural)


def groups() -> dict[str, Any]:
    """Answer of `/apis` without aggregation."""
    listed = []
    for item in aggregated()["/apis"]["items"]:
        name = item["metadata"]["name"]
        versions = [{"groupVersion": f"{name}/{v['version']}", "version": v["version"]} for v in item["versions"]]
        listed.append({"name": name, "versions": versions, "preferredVersion": versions[0]})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(name: str) -> dict[str, Any] | None:
    """Answer of `/apis/GROUP`."""
    for one in groups()["groups"]:
        if one["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **one}
    return None


def resources(name: str, version: str) -> dict[str, Any] | None:
    """Answer of `/api/v1` or `/apis/GROUP/VERSION`."""
    for item in aggregated()["/apis" if name else "/api"]["items"]:
        for one in item["versions"]:
            if (item["metadata"].get("name", ""), one["version"]) == (name, version):
                listed = [entry for r in one["resources"] for entry in _entries(r)]
                gv = f"{name}/{version}" if name else version
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": listed}
    return None


def _entries(resource: dict[str, Any]) -> list[dict[str, Any]]:
    namespaced = resource["scope"] == "Namespaced"
    more = {k: resource[k] for k in ("shortNames", "categories") if k in resource}
    found = [
        {
            "name": resource["resource"],
            "singularName": resource["singularResource"],
            "namespaced": namespaced,
            "kind": resource["responseKind"]["kind"],
            "verbs": resource["verbs"],
            **more,
        }
    ]
    for sub in resource.get("subresources", ()):
        kind = sub["responseKind"]
        entry = {
            "name": f"{resource['resource']}/{sub['subresource']}",
            "singularName": "",
            "namespaced": namespaced,
            "kind": kind["kind"],
            "verbs": sub["verbs"],
        }
        if kind.get("version"):
            entry |= {"group": kind.get("group", ""), "version": kind["version"]}
        found.append(entry)
    return found
