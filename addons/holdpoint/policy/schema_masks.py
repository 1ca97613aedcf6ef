"""Read `kind: Masks` documents into the domain's mask types. Form only: the masking package compiles them."""

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.located_yaml import Fields, Located

_ACTIONS = tuple(a.value for a in MaskAction)
_KEYS = frozenset({"apiVersion", "kind", "profiles"})


def read_masks(document: Located) -> list[tuple[Located, MaskProfile]]:
    """Return the profiles of a document, each with the place of its name. Raises ConfigError."""
    profiles = document.fields(required=_KEYS)["profiles"]
    found = [_profile(element) for element in profiles.elements()]
    if not found:
        raise profiles.error("no profiles")
    return found


def _profile(node: Located) -> tuple[Located, MaskProfile]:
    fields = node.fields(required=frozenset({"name"}), optional=frozenset({"paths", "keys", "detectors"}))
    name = fields["name"]
    if not name.text():
        raise name.error("a profile needs a name")
    profile = MaskProfile(
        name=name.text(),
        paths=tuple(PathMask(*_entry(e, "path"), where=_where(e)) for e in _entries(fields, "paths")),
        keys=tuple(KeyMask(*_entry(e, "key"), where=_where(e)) for e in _entries(fields, "keys")),
        detectors=tuple(_detector(e) for e in _entries(fields, "detectors")),
        where=_where(name),
    )
    if not (profile.paths or profile.keys or profile.detectors):
        raise node.error(f"profile `{profile.name}` masks nothing")
    return name, profile


def _entries(fields: Fields, key: str) -> list[Located]:
    node = fields.get(key)
    return node.elements() if node else []


def _entry(node: Located, key: str) -> tuple[str, MaskAction]:
    if not node.is_mapping:
        return _filled(node), MaskAction.REDACT
    fields = node.fields(required=frozenset({key}), optional=frozenset({"action"}))
    return _filled(fields[key]), _action(fields)


def _detector(node: Located) -> DetectorMask:
    if not node.is_mapping:
        return DetectorMask(_filled(node), where=_where(node))
    fields = node.fields(required=frozenset({"name"}), optional=frozenset({"pattern", "action"}))
    pattern = fields.get("pattern")
    return DetectorMask(
        _filled(fields["name"]), _filled(pattern) if pattern else "", _action(fields), where=_where(fields["name"])
    )


def _action(fields: Fields) -> MaskAction:
    node = fields.get("action")
    return MaskAction(node.choice(*_ACTIONS)) if node else MaskAction.REDACT


def _filled(node: Located) -> str:
    text = node.text()
    if not text:
        raise node.error("expected text, found none")
    return text


def _where(node: Located) -> str:
    return f"{node.file}:{node.line}"
