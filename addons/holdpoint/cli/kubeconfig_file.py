# pyright: reportUnknownMemberType=false
# Reason: ruamel says less of its types than it has.
"""A kubeconfig as text: a new one, or an entry in one that others write too (kubernetes.io, "kubeconfig v1")."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from holdpoint.domain.refusal import ConfigError

_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
"""Lists of a kubeconfig, and under which key an entry of each holds what is not its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One context with its cluster and its user, all of one name."""

    name: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    namespace: str = ""

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what each list holds of it."""
        context = {"cluster": self.name, "user": self.name}
        if self.namespace:
            context["namespace"] = self.namespace
        return {"clusters": dict(self.cluster), "users": dict(self.user), "contexts": context}


def new(entry: Entry) -> str:
    """Return a kubeconfig that holds nothing else."""
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    for key, value in entry.parts().items():
        made[key] = [{"name": entry.name, _LISTS[key]: value}]
    return _written(made | {"current-context": entry.name})


def merged(text: str, entry: Entry, *, replace: bool, use: bool, where: str) -> str:
    """Return a kubeconfig with the entry in it, everything else as it stands, comments too.

    Entries of that name that say something else are replaced only if told to. `use` makes it the current context.
    Raises ConfigError.
    """
    try:
        loaded: Any = _yaml().load(text)
    except YAMLError as error:
        raise ConfigError("not YAML that can be changed: " + str(error).splitlines()[0], where=where) from error
    if loaded is None:
        return new(entry)
    if not isinstance(loaded, CommentedMap):
        raise ConfigError("not a kubeconfig", where=where)
    found = cast("dict[str, Any]", loaded)
    if found.get("kind", "Config") != "Config":
        raise ConfigError("not a kubeconfig", where=where)
    for key, value in entry.parts().items():
        _put(found, key, {"name": entry.name, _LISTS[key]: value}, replace=replace, where=where)
    found.setdefault("apiVersion", "v1")
    found.setdefault("kind", "Config")
    if use or not found.get("current-context"):
        found["current-context"] = entry.name
    return _written(found)


def _put(found: dict[str, Any], key: str, made: dict[str, Any], *, replace: bool, where: str) -> None:
    if found.get(key) is None:
        found[key] = CommentedSeq()
    if not isinstance(found[key], CommentedSeq):
        raise ConfigError(f"`{key}` is not a list", where=where)
    entries = cast("list[Any]", found[key])
    if not all(isinstance(each, CommentedMap) for each in entries):
        raise ConfigError(f"`{key}` holds something that is no entry", where=where)
    same = [place for place, each in enumerate(entries) if each.get("name") == made["name"]]
    if not same:
        entries.append(made)
    elif len(same) > 1:
        raise ConfigError(f"`{made['name']}` stands twice in `{key}`", where=where)
    elif entries[same[0]] != made:
        if not replace:
            raise ConfigError(
                f"`{made['name']}` stands in `{key}` already and says something else: --replace replaces it, --context "
                "takes another name",
                where=where,
            )
        entries[same[0]] = made


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=2, offset=0)
    return yaml


def _written(value: Any) -> str:  # noqa: ANN401  # ruamel's own tree, or plain values
    stream = io.StringIO()
    _yaml().dump(value, stream)
    return stream.getvalue()
