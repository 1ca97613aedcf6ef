"""The parts of a `match:` that only MCP has, and what of them could match nothing or more than can be meant."""

from difflib import get_close_matches

from holdpoint.domain.access import PinState
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy import verbs
from holdpoint.policy.argument_paths import ArgumentPath, BadPath, parse_path
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.rules import Effect, Globs, Match
from holdpoint.policy.schema_duties import read_patterns
from holdpoint.policy.schema_globs import read_globs

PROTOCOL_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
_PINS = tuple(sorted(p.value for p in PinState if p.value))
_NAMED = ("prompts", "server_requests", "tools", "uris")
_MAX_PATHS = 20


def read_pins(node: Located | None) -> frozenset[PinState] | None:
    """Read the states that a tool's definition may be in. Raises ConfigError."""
    if node is None:
        return None
    found: set[PinState] = set()
    for element in node.elements():
        pin = PinState(element.choice(*_PINS))
        if pin in found:
            raise element.error(f"`{pin.value}` is listed twice")
        found.add(pin)
    if not found:
        raise node.error("an empty list matches nothing; leave the key out, or name something")
    return frozenset(found)


def read_protocol_versions(node: Located | None) -> Globs:
    """Read globs over the versions of MCP. Raises ConfigError where one is of no version."""
    globs = read_globs(node)
    for element in node.elements() if node else ():
        if not any(map(compile_globs([element.text()]), PROTOCOL_VERSIONS)):
            known = ", ".join(f"`{v}`" for v in PROTOCOL_VERSIONS)
            raise element.error(f"`{element.text()}` is no version of MCP that is spoken here; known: {known}")
    return globs


def read_arguments(node: Located | None) -> dict[ArgumentPath, tuple[str, ...]]:
    """Read globs by the path of an argument. Raises ConfigError."""
    found: dict[ArgumentPath, tuple[str, ...]] = {}
    for text, key, value in node.items() if node else ():
        try:
            path = parse_path(text)
        except BadPath as problem:
            raise key.error(str(problem)) from None
        if any(path.steps == other.steps for other in found):
            raise key.error(f"`{text}` is the same path as one before it")
        found[path] = read_globs(value) or ()
    if node and not found:
        raise node.error("an empty `arguments` says nothing; leave it out, or name an argument")
    if node and len(found) > _MAX_PATHS:
        raise node.error(f"more than {_MAX_PATHS} paths in one rule")
    return found


def read_argument_patterns(node: Located | None, effect: Effect) -> tuple[str, ...]:
    """Read patterns over all text in the arguments. Raises ConfigError."""
    if node is None:
        return ()
    if effect not in (Effect.DENY, Effect.HOLD):
        raise node.error(
            f"what is found somewhere in the arguments can deny or hold, never {effect.value}; use `arguments`"
        )
    return read_patterns(node)


def check_mcp(node: Located, fields: Fields, match: Match, effect: Effect) -> None:
    """Refuse what can match nothing on an MCP target, or would allow without naming. Raises ConfigError."""
    named = {key for key in _NAMED if fields.get(key)}
    _check_server_requests(fields, match, effect, named)
    _check_pins(node, fields, match, effect, named)
    listed = match.verbs or ()
    covers = compile_globs(listed if match.verbs is not None else ["*"])
    where = fields.get("verbs") or node
    for verb, key in verbs.MCP_NAMED.items():
        if named and verb in listed and key not in named:
            raise where.error(f"`{verb}` can match nothing here: this rule names `{min(named)}` and no `{key}`")
        if effect is Effect.ALLOW and not match.names_something and covers(verb):
            raise where.error(
                f"this would allow `{verb}` without saying of what; name `{key}` (`*` is all of them), "
                "or list verbs that leave it out"
            )
    about = set(verbs.MCP_PLAIN) - {v for v, keys in verbs.MCP_MAY_NAME.items() if keys & named}
    if named - {"server_requests"} and match.verbs is not None and set(listed) <= about:
        raise where.error(f"a rule that names `{min(named)}` matches them only, and none of these verbs is about them")


def _check_server_requests(fields: Fields, match: Match, effect: Effect, named: set[str]) -> None:
    node, listed = fields.get("server_requests"), fields.get("verbs")
    if node is None:
        if not match.names_something:
            _check_verbs_of_servers(listed, effect)
        return
    if effect is Effect.HOLD:
        raise node.error("nobody can be asked while a server waits for its client: deny or allow its requests")
    if len(named) > 1:
        raise node.error("`server_requests` is about what a server asks; give it a rule of its own")
    for element in node.elements():
        _check_method(element)
    fits = compile_globs(match.server_requests or ())
    for element in listed.elements() if listed else ():
        verb = element.text()
        if "*" not in verb and verb != verbs.RESPONSE and not fits(verb):
            raise element.error(f"`{verb}` can match nothing here: write `response` or the method, or no `verbs`")


def _check_verbs_of_servers(listed: Located | None, effect: Effect) -> None:
    for element in listed.elements() if listed else ():
        verb = element.text()
        if verb not in verbs.MCP_OF_SERVERS and verb != verbs.RESPONSE:
            continue
        if effect is Effect.HOLD:
            raise element.error(f"nobody can be asked about `{verb}` while a server waits: deny or allow it")
        if effect is Effect.ALLOW:
            wanted = "elicitation/create" if verb == verbs.RESPONSE else verb
            raise element.error(f"this would allow nothing: name `server_requests: [{wanted}]`")


def _check_method(element: Located) -> None:
    method = element.text()
    if method == "ping":
        raise element.error("a server's `ping` always passes, and is asked of no rule")
    close = [] if "*" in method else get_close_matches(method, verbs.MCP_OF_SERVERS, n=1, cutoff=0.7)
    if close and method not in verbs.MCP_OF_SERVERS:
        raise element.error(f"unknown request `{method}`; did you mean `{close[0]}`?")


def _check_pins(node: Located, fields: Fields, match: Match, effect: Effect, named: set[str]) -> None:
    pins = fields.get("pins")
    if pins is None:
        return
    if named - {"tools"}:
        raise pins.error("`pins` is about tools; give them a rule of their own")
    if effect is Effect.ALLOW and match.tools is None:
        raise node.error("this would allow tools without saying which; name `tools` (`*` is all of them)")
    if match.verbs is not None and not compile_globs(match.verbs)("tools/call"):
        raise pins.error("`pins` is about `tools/call`, and none of these verbs is")
