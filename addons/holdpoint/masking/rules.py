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
        self.shapes: frozenset[str] = frozenset(
            (*(("value",) if self.keys else ()), *(("data", "stringData", "items") if self.secrets else ()))
        )
        """Names of members that may make an object one to look at as a whole."""
        self._actions: dict[str, MaskAction | None] = {}
        self._states: dict[tuple[Paths, Places, bool], State] = {}
        self.paths: tuple[tuple[Step, ...], ...] = tuple(steps for steps, _ in paths)
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

    def key_action(self, name: str) -> MaskAction | None:
        """Return what key masks say of a name, from memory where it was met before."""
        if not self.keys:
            return None
        if name in self._actions:
            return self._actions[name]
        action = self.keys.action(name)
        if len(self._actions) < _MAX_CACHED and len(name) <= _MAX_NAME:
            self._actions[name] = action
        return action

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

    __slots__ = ("_every", "_keyed", "_names", "_paths", "_places", "_rules", "is_plain_list", "plain")

    def __init__(self, rules: Rules, paths: Paths, places: Places, *, keyed: bool) -> None:
        self._keyed = keyed
        self._rules = rules
        self._paths = paths
        self._places = places
        self._names: dict[str, Next] = {}
        self._every: tuple[State, MaskAction | None] | None = None
        # A name that holds a secret is never kept.
        self.plain: set[str] = set()
        """Names of members met before that lead nowhere: the same state, no action, shown as they are."""
        self.is_plain_list: bool = not paths.has_index and paths.advance(places, None) == (places, None)
        """Whether every element of an array leads nowhere too."""

    def _member(self, name: str) -> Next:
        places, action = self._paths.advance(self._places, name)
        shown = self._rules.shown(name)
        if self._keyed:
            action = stricter(action, self._rules.key_action(name))
            if shown != name:
                action = stricter(action, self._rules.key_action(shown))
        child = self._rules.state(self._paths, places)
        found: Next = (child, action, shown)
        if shown == name and len(self._names) < _MAX_CACHED and len(name) <= _MAX_NAME:
            self._names[name] = found
            if child is self and action is None and name not in self._rules.shapes:
                self.plain.add(name)
        return found

    def without_keys(self) -> "State":
        """Return the same state for an object whose member names are no keys; its values' members are again."""
        return self._rules.state(self._paths, self._places, keyed=False)

    def next(self, name: str) -> Next:
        """Return where a member leads, from memory where it was met before."""
        return self._names.get(name) or self._member(name)

    def element(self, index: int) -> tuple["State", MaskAction | None]:
        """Return where an element of an array leads."""
        if self._every is not None:
            return self._every
        places, action = self._paths.advance(self._places, index)
        found = (self._rules.state(self._paths, places), action)
        if not self._paths.has_index:
            self._every = found
        return found


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
