"""Read `kind: Reviewers` and `kind: Delegations` documents."""

import re
from collections.abc import Mapping
from datetime import datetime

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Located
from holdpoint.policy.delegations import Delegation
from holdpoint.policy.names import read_name
from holdpoint.policy.reviewers import ListEntry, ReviewerList
from holdpoint.policy.schema_globs import read_globs
from holdpoint.policy.schema_reviewers import read_names, read_person_or_group
from holdpoint.policy.schema_targets import read_targets

MAX_DAYS = 90
"""Days of one delegation. Whoever is away for longer is no reviewer any more."""
MAX_REASON = 500
_DAY = 86_400
_TOP = frozenset({"apiVersion", "kind", "metadata"})
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
"""RFC 3339 section 5.6, without leap seconds."""


def read_reviewers(document: Located, targets: Mapping[str, Protocol], name: str) -> ReviewerList:
    """Read one list; `name` is the file's within the bundle. Raises ConfigError."""
    fields = document.fields(required=_TOP | {"lists"}, optional=frozenset({"default"}))
    own = _metadata(fields["metadata"])
    default = fields.get("default")
    elements = fields["lists"].elements()
    if not elements:
        raise fields["lists"].error("no lists: this names nobody")
    entries: list[ListEntry] = []
    for element in elements:
        entry = _entry(element, targets)
        if any(e.targets == entry.targets and e.namespaces == entry.namespaces for e in entries):
            raise element.error("an entry above is about the same targets and namespaces, and the first counts")
        entries.append(entry)
    where = f"{name}:{fields['metadata'].line}"
    return ReviewerList(own, tuple(entries), read_names(default) if default else frozenset(), where)


def read_delegations(document: Located, name: str) -> tuple[Delegation, ...]:
    """Read who stands in for whom; `name` is the file's within the bundle. Raises ConfigError."""
    fields = document.fields(required=_TOP | {"delegations"})
    _metadata(fields["metadata"])
    elements = fields["delegations"].elements()
    return tuple(_delegation(element, name) for element in elements)


def _metadata(node: Located) -> str:
    fields = node.fields(required=frozenset({"name"}), optional=frozenset({"description"}))
    description = fields.get("description")
    if description:
        description.text()
    return read_name(fields["name"])


def _entry(node: Located, targets: Mapping[str, Protocol]) -> ListEntry:
    fields = node.fields(required=frozenset({"reviewers"}), optional=frozenset({"targets", "namespaces"}))
    about, namespaces = fields.get("targets"), fields.get("namespaces")
    if about is None and namespaces is None:
        raise node.error("an entry for every target and namespace; write it as `default`")
    all_of_them = "no targets; leave `targets` out for all of them"
    named = frozenset(read_targets(about, targets, none=all_of_them)) if about else None
    reached = {targets[t] for t in (targets if named is None else named)}
    if namespaces and Protocol.KUBERNETES not in reached:
        raise namespaces.error("only what is asked of a Kubernetes target has a namespace")
    return ListEntry(read_names(fields["reviewers"]), named, read_globs(namespaces))


def _delegation(node: Located, name: str) -> Delegation:
    fields = node.fields(required=frozenset({"for", "to", "from", "until", "reason"}))
    lent, to = read_person_or_group(fields["for"]), read_names(fields["to"])
    if lent in to:
        raise fields["to"].error(f"`{lent}` cannot stand in for itself")
    start, end = read_time(fields["from"]), read_time(fields["until"])
    if end <= start:
        raise fields["until"].error("`until` is not after `from`: this lends nothing")
    if end - start > MAX_DAYS * _DAY:
        raise fields["until"].error(f"longer than {MAX_DAYS} days; name somebody else as reviewer instead")
    reason = " ".join(fields["reason"].text().split())
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise fields["reason"].error(f"expected 1 to {MAX_REASON} printable characters")
    return Delegation(lent, to, start, end, reason, f"{name}:{node.line}")


def read_time(node: Located) -> float:
    """Read a time with its zone, as Unix seconds. Raises ConfigError."""
    problem = 'expected a time in quotes with its zone, as `"2027-01-15T08:00:00Z"`'
    if not node.tag.endswith(":str"):
        raise node.error(problem)
    text = node.text()
    if not _TIME.fullmatch(text):
        raise node.error(problem)
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise node.error(problem) from None
