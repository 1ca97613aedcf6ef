"""Read the `match:` of a rule, and refuse what could match nothing or more than its author can have meant."""

import re
from collections.abc import Set as AbstractSet
from difflib import get_close_matches

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy import verbs
from holdpoint.policy.globs import compile_globs
from holdpoint.policy.kubectl_words import VERBS as WORDS_FOR_VERBS
from holdpoint.policy.rules import PRINCIPAL_KEYS, Effect, Globs, Match, PrincipalKey
from holdpoint.policy.schema_globs import read_globs
from holdpoint.policy.schema_match_kubernetes import (
    OPTION_GLOBS,
    OPTIONS,
    check_kubernetes,
    read_commands,
    read_fields,
    read_labels,
    read_ports,
)
from holdpoint.policy.schema_match_mcp import (
    check_mcp,
    read_argument_patterns,
    read_arguments,
    read_pins,
    read_protocol_versions,
)
from holdpoint.policy.schema_match_names import check_names

_MCP = frozenset({Protocol.MCP})
_MCP_GLOBS = frozenset({"tools", "prompts", "uris", "server_requests"})
_MCP_OTHERS = frozenset({"pins", "protocol_versions", "arguments", "argument_patterns"})
_KUBERNETES = frozenset({Protocol.KUBERNETES})
_WHERE_IT_EXISTS: dict[str, frozenset[Protocol]] = {
    **dict.fromkeys(sorted(_MCP_GLOBS | _MCP_OTHERS), _MCP),
    "paths": frozenset({Protocol.HTTP, Protocol.KUBERNETES}),
    "hosts": frozenset({Protocol.HTTP}),
    **dict.fromkeys(["resources", "groups", "namespaces", "names", *sorted(OPTIONS | OPTION_GLOBS)], _KUBERNETES),
}
_KEYS = frozenset({"any", "verbs", "principals", "unverified"}) | _WHERE_IT_EXISTS.keys()
_GLOBS = (_WHERE_IT_EXISTS.keys() - _MCP_OTHERS - OPTIONS) | {"verbs"}
_ANY_GOES_WITH = frozenset({"any", "principals", "unverified", "protocol_versions", "arguments", "argument_patterns"})
_UNVERIFIED = frozenset({"client", "client_version", "protocol_version", "reason"})
_MAY_BE_EMPTY = frozenset({"groups", "namespaces"})

_RESOURCE_FORM = re.compile(r"[a-z0-9.*-]+(/[a-z0-9.*-]+)?")


def read_match(node: Located, effect: Effect, protocols: AbstractSet[Protocol]) -> Match:
    """Read and check a `match:` for a policy whose targets speak `protocols`. Raises ConfigError."""
    fields = node.fields(optional=_KEYS)
    if not fields.values:
        raise node.error("an empty match; name what the rule is about, or write `any: true` in a rule that denies")
    globs = {key: read_globs(fields.get(key), may_be_empty=key in _MAY_BE_EMPTY) for key in sorted(_GLOBS)}
    match = Match(
        any=_any(fields, effect),
        verbs=globs["verbs"],
        tools=globs["tools"],
        prompts=globs["prompts"],
        uris=globs["uris"],
        server_requests=globs["server_requests"],
        paths=globs["paths"],
        hosts=globs["hosts"],
        resources=globs["resources"],
        groups=globs["groups"],
        namespaces=globs["namespaces"],
        names=globs["names"],
        label_selectors=read_labels(fields.get("label_selectors")),
        field_selectors=read_fields(fields.get("field_selectors")),
        dry_run=_boolean(fields.get("dry_run")),
        commands=read_commands(fields.get("commands")),
        containers=globs["containers"],
        tty=_boolean(fields.get("tty")),
        stdin=_boolean(fields.get("stdin")),
        ports=read_ports(fields.get("ports")),
        principals=_principals(fields.get("principals")),
        unverified=_unverified(fields.get("unverified"), effect),
        pins=read_pins(fields.get("pins")),
        protocol_versions=read_protocol_versions(fields.get("protocol_versions")),
        arguments=read_arguments(fields.get("arguments")),
        argument_patterns=read_argument_patterns(fields.get("argument_patterns"), effect),
    )
    for key, where in _WHERE_IT_EXISTS.items():
        found = fields.get(key)
        if found is not None and not where & protocols:
            names = " and ".join(f"`{p.value}`" for p in sorted(where))
            raise found.error(f"`{key}` exists on {names} targets only, and this policy has none of them")
    _check_verbs(fields, protocols)
    _check_forms(fields)
    _check_combination(fields, match)
    if Protocol.MCP in protocols:
        check_mcp(node, fields, match, effect)
    if Protocol.KUBERNETES in protocols:
        check_kubernetes(node, fields, match, effect)
        check_names(fields, match)
    if not any(reaches(match, protocol) for protocol in protocols):
        raise node.error("this can match nothing here: on an `http` target name `paths` (`*` is all of them)")
    return match


def reaches(match: Match, protocol: Protocol) -> bool:
    """Tell whether a rule can match anything on targets of a protocol."""
    if match.is_mcp_only and protocol is not Protocol.MCP:
        return False
    if match.any:
        return True
    match protocol:
        case Protocol.MCP:
            return match.names_mcp or not match.names_something
        case Protocol.HTTP:
            return match.paths is not None
        case Protocol.KUBERNETES:
            return match.names_objects or match.paths is not None or not match.names_something


def _boolean(node: Located | None) -> bool | None:
    return None if node is None else node.boolean()


def _any(fields: Fields, effect: Effect) -> bool:
    node = fields.get("any")
    if node is None:
        return False
    if not node.boolean():
        raise node.error("write `any: true`, or leave it out")
    if effect is Effect.ALLOW:
        raise node.error("an allow rule must say what it allows; `any: true` is for deny, hold and mask rules")
    others = sorted(fields.values.keys() - _ANY_GOES_WITH)
    if others:
        raise node.error(f"`any: true` covers every verb and resource already; take out `{others[0]}`, or `any`")
    return True


def _principals(node: Located | None) -> dict[PrincipalKey, tuple[str, ...]]:
    if node is None:
        return {}
    fields = node.fields(optional=frozenset(PRINCIPAL_KEYS))
    if not fields.values:
        raise node.error("an empty `principals` says nothing; leave it out, or name somebody")
    kinds = fields.get("kinds")
    for element in kinds.elements() if kinds else ():
        element.choice("human", "workload")
    found: dict[PrincipalKey, Globs] = {key: read_globs(fields.get(key)) for key in PRINCIPAL_KEYS}
    return {key: globs for key, globs in found.items() if globs is not None}


def _unverified(node: Located | None, effect: Effect) -> dict[str, tuple[str, ...]]:
    if node is None:
        return {}
    if effect not in (Effect.DENY, Effect.HOLD):
        raise node.error(f"what a caller says of itself can deny or hold, never {effect.value}")
    found: dict[str, tuple[str, ...]] = {}
    for name, key, value in node.items():
        if name not in _UNVERIFIED:
            known = ", ".join(f"`{k}`" for k in sorted(_UNVERIFIED))
            raise key.error(f"unknown key `{name}`; what callers say of themselves is {known}")
        found[name] = read_globs(value) or ()
    if not found:
        raise node.error("an empty `unverified` says nothing; leave it out")
    return found


def _check_verbs(fields: Fields, protocols: AbstractSet[Protocol]) -> None:
    node = fields.get("verbs")
    known: set[str] = set()
    if Protocol.HTTP in protocols:
        known |= verbs.HTTP
    if Protocol.KUBERNETES in protocols:
        known |= verbs.KUBERNETES
    for element in node.elements() if node else ():
        verb = element.text()
        if verb == verbs.BATCH and Protocol.MCP in protocols:
            raise element.error("no rule is about a `batch`: each of its messages is decided by itself")
        if Protocol.KUBERNETES in protocols and verb not in known and verb.lower() in WORDS_FOR_VERBS:
            raise element.error(f"unknown verb `{verb}`; on a cluster this is {WORDS_FOR_VERBS[verb.lower()]}")
        if Protocol.MCP in protocols:
            # Methods of extensions are welcome; what looks like a slip of a known one is not.
            close = [] if "*" in verb else get_close_matches(verb, verbs.MCP | known, n=1, cutoff=0.85)
            if close and verb not in verbs.MCP | known:
                raise element.error(f"unknown verb `{verb}`; did you mean `{close[0]}`?")
        elif not any(map(compile_globs([verb]), known)):
            close = get_close_matches(verb.lower(), known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise element.error(f"unknown verb `{verb}`{hint}")


def _check_forms(fields: Fields) -> None:
    resources, hosts, paths = fields.get("resources"), fields.get("hosts"), fields.get("paths")
    for element in resources.elements() if resources else ():
        if not _RESOURCE_FORM.fullmatch(element.text()):
            text = element.text()
            raise element.error(
                f"`{text}` is no resource; write the lower-case plural: `pods`, `pods/log`, `pods/*`, `*/*`"
            )
    for element in hosts.elements() if hosts else ():
        text = element.text()
        if text != text.lower() or "/" in text:
            raise element.error(f"`{text}` is no host; write it in lower case, without scheme and path")
    for element in paths.elements() if paths else ():
        text = element.text()
        if not text.startswith(("/", "*")) or "?" in text or "#" in text:
            raise element.error(f"`{text}` is no path; it starts with `/` or `*`, and has no query")


def _check_combination(fields: Fields, match: Match) -> None:
    for key in ("groups", "namespaces", "names", *sorted(OPTIONS | OPTION_GLOBS)):
        node = fields.get(key)
        if node and (match.paths is not None or match.names_mcp):
            raise node.error(f"`{key}` is about Kubernetes objects; give them a rule of their own")
    for key in sorted(_MCP_OTHERS):
        node = fields.get(key)
        if node and (match.paths is not None or match.names_objects):
            raise node.error(f"`{key}` is about messages of MCP; give them a rule of their own")
    hosts = fields.get("hosts")
    if hosts and match.paths is None:
        raise hosts.error("`hosts` needs `paths` beside it (`*` is all of them)")
