"""Profiles, compiled: paths and keys as one automaton over names, detectors and key text over strings."""

from collections.abc import Sequence

from holdpoint.domain.mask import DetectorMask, MaskAction, MaskProfile
from holdpoint.domain.refusal import ConfigError
from holdpoint.masking.detectors import KUBERNETES_SECRET, Detectors
from holdpoint.masking.keys import BadKey, Keys
from holdpoint.masking.keytext import KeyText
from holdpoint.masking.marks import Marker, stricter
from holdpoint.masking.paths import BadPath, Paths, Places, Step, parse
from holdpoint.masking.plaintext import PlainText
from holdpoint.masking.regex import BadPattern

MCP_ROOTS: tuple[tuple[Step, ...], ...] = (
    (Step("result"), Step("structuredContent")),
    (Step("params"), Step("arguments")),
)
"""Documents inside an MCP message: `$` stands for each of them too."""
_MAX_CACHED = 2_048
"""Names remembered by one state. Names come from upstreams: beyond, they are looked up each time."""
_MAX_STATES = 512
_MAX_NAME = 64


class Rules:
    """Everything that says what is masked."""

    def __init__(self, profiles: Sequence[MaskProfile], marker: Marker) -> None:
        """Compile. Raises ConfigError that names the profile and the place."""
        self.marker = marker
        paths = [(_path(p, m.path, m.where), m.action) for p in profiles for m in p.paths]
        detectors: list[DetectorMask] = []
        self.secrets: MaskAction | None = None
        """What happens to the data of Kubernetes Secrets."""
        for profile in profiles:
            for mask in profile.detectors:
                if mask.name == KUBERNETES_SECRET and not mask.pattern:
                    self.secrets = stricter(self.secrets, mask.action)
                else:
                    _check_detector(profile, mask)
                    detectors.append(mask)
            for key in profile.keys:
                _check_key(profile, key.key, key.where)
        self.keys = Keys([(m.key, m.action) for p in profiles for m in p.keys])
        self.detectors = Detectors(list(dict.fromkeys(detectors)))
        self.keytext = KeyText(self.keys, self.secrets, marker)
        self.plain = PlainText(self.detectors, self.keytext, marker)
        self.is_empty = not (paths or self.keys or self.detectors or self.secrets)
        self._states: dict[tuple[Paths, Places, bool], State] = {}
        self.start = self.state(Paths(paths))
        mcp = Paths([(root + steps, action) for root in ((), *MCP_ROOTS) for steps, action in paths])
        self.mcp_start = self.state(mcp)

    def state(self, paths: Paths, places: Places | None = None, *, keyed: bool = True) -> "State":
        """Return the state for these places on these paths; `keyed`: whether member names are keys."""
        places = paths.start if places is None else places
        found = self._states.get((paths, places, keyed))
        if found is None:
            found = State(self, paths, places, keyed=keyed)
            if len(self._states) < _MAX_STATES:
                self._states[paths, places, keyed] = found
        return found

    def shown(self, name: str) -> str:
        """Return a member's name with what detectors find in it masked."""
        if not self.detectors:
            return name
        raw, count = self.plain.mask(name.encode("utf-8", "replace"), keys=False)
        return raw.decode("utf-8", "replace") if count else name


type Next = tuple["State", MaskAction | None, str]
"""Where a member leads, what happens to its value, and its name as it may be shown."""


class State:
    """Where one is in a document, as far as masks care."""

    __slots__ = ("_keyed", "_paths", "_places", "_rules", "has_index", "names")

    def __init__(self, rules: Rules, paths: Paths, places: Places, *, keyed: bool) -> None:
        self._keyed = keyed
        self._rules = rules
        self._paths = paths
        self._places = places
        self.names: dict[str, Next] = {}
        """Members met before. A name that holds a secret is never kept."""
        self.has_index = paths.has_index

    def member(self, name: str) -> Next:
        """Return where a member of an object leads."""
        places, action = self._paths.advance(self._places, name)
        shown = self._rules.shown(name)
        if self._keyed:
            action = stricter(action, self._rules.keys.action(name))
            if shown != name:
                action = stricter(action, self._rules.keys.action(shown))
        found: Next = (self._rules.state(self._paths, places), action, shown)
        if shown == name and len(self.names) < _MAX_CACHED and len(name) <= _MAX_NAME:
            self.names[name] = found
        return found

    def without_keys(self) -> "State":
        """Return the same state for an object whose member names are no keys; its values' members are again."""
        return self._rules.state(self._paths, self._places, keyed=False)

    def element(self, index: int | None) -> tuple["State", MaskAction | None]:
        """Return where an element of an array leads; None stands for any index that no path names."""
        places, action = self._paths.advance(self._places, index)
        return self._rules.state(self._paths, places), action


def _path(profile: MaskProfile, path: str, where: str) -> tuple[Step, ...]:
    try:
        return parse(path)
    except BadPath as error:
        raise ConfigError(
            f"mask profile `{profile.name}`: path `{path}`: {error}", where=where or profile.where
        ) from None


def _check_key(profile: MaskProfile, key: str, where: str) -> None:
    try:
        Keys([(key, MaskAction.REDACT)])
    except BadKey as error:
        raise ConfigError(
            f"mask profile `{profile.name}`: key `{key}`: {error}", where=where or profile.where
        ) from None


def _check_detector(profile: MaskProfile, mask: DetectorMask) -> None:
    try:
        Detectors([mask])
    except BadPattern as error:
        message = f"mask profile `{profile.name}`: detector `{mask.name}`: {error}"
        raise ConfigError(message, where=mask.where or profile.where) from None
