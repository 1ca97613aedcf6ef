"""Read what requests of policy tests say to a Kubernetes target."""

import shlex

from holdpoint.domain.access import KubeObject, KubeOptions, KubePath
from holdpoint.located_yaml import Fields, Located

OPTIONS = frozenset(
    {"label_selector", "field_selector", "dry_run", "command", "container", "stdin", "tty", "ports", "known"}
)
KEYS = OPTIONS | {"group", "version", "resource", "subresource", "namespace", "name", "path", "impersonates"}
_IDENTITY = frozenset({"subresource", "namespace", "name"})


def read_resource(node: Located, fields: Fields) -> KubeObject | KubePath:
    """Read what a request is about. Raises ConfigError."""
    if "path" in fields.values:
        for key in sorted(OPTIONS | {"resource"}):
            if key in fields.values:
                raise node.error(f"a request is about a `path` or a `resource`, not both: take out `{key}`")
        return KubePath(_text(fields, "path"))
    if "resource" not in fields.values:
        raise node.error("key `resource` or `path` is missing")
    kind, _, subresource = _text(fields, "resource").partition("/")
    return KubeObject(
        group=_text(fields, "group"),
        version=_text(fields, "version") or "v1",
        resource=kind,
        subresource=_text(fields, "subresource") or subresource,
        namespace=_text(fields, "namespace"),
        name=_text(fields, "name"),
        options=_options(fields),
    )


def read_identities(node: Located) -> list[KubeObject]:
    """Read whom a request wants to act as. Raises ConfigError."""
    found: list[KubeObject] = []
    for element in node.elements():
        fields = element.fields(required=frozenset({"resource"}), optional=_IDENTITY)
        kind, _, subresource = _text(fields, "resource").partition("/")
        name, namespace = _text(fields, "name"), _text(fields, "namespace")
        found.append(KubeObject("", "v1", kind, _text(fields, "subresource") or subresource, namespace, name))
    if not found:
        raise node.error("nobody: leave the key out")
    return found


def _options(fields: Fields) -> KubeOptions:
    ports, known = fields.get("ports"), fields.get("known")
    return KubeOptions(
        label_selector=_text(fields, "label_selector"),
        field_selector=_text(fields, "field_selector"),
        dry_run=_boolean(fields, "dry_run"),
        command=_command(fields.get("command")),
        container=_text(fields, "container"),
        stdin=_boolean(fields, "stdin"),
        tty=_boolean(fields, "tty"),
        ports=tuple(p.integer(low=1, high=65_535) for p in ports.elements()) if ports else (),
        known=known.boolean() if known else True,
    )


def _command(node: Located | None) -> tuple[str, ...]:
    if node is None:
        return ()
    if node.is_sequence:
        return node.texts()
    try:
        return tuple(shlex.split(node.text()))
    except ValueError:
        raise node.error("a quote is not closed") from None


def _text(fields: Fields, key: str) -> str:
    found = fields.get(key)
    return found.text() if found else ""


def _boolean(fields: Fields, key: str) -> bool:
    found = fields.get(key)
    return found.boolean() if found else False
