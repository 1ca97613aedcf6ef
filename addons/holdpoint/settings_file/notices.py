"""Reads `notices:`: whom to tell of what, and how they are reached."""

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Literal

from holdpoint.domain.access import person_name
from holdpoint.domain.notice import OFFERED, USUAL, Audience, NoticeEvent
from holdpoint.located_yaml import Fields, Located
from holdpoint.settings import Console, Sink, SlackUser, Target
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import read_url
from holdpoint.settings_file.places import Places, printable, read_name, read_set

KINDS = ("webhook", "slack", "apprise")
SLACK_API = "https://slack.com/api"
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{2,31}")
_SLACK_TEAM = re.compile(r"[TE][A-Z0-9]{2,31}")
_SLACK_CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,31}")
_MOST_SECRETS = 4
_MOST_SINKS = 50


def read_notices(
    value: Located | None, places: Places, targets: Sequence[Target], console: Console | None
) -> tuple[Sink, ...]:
    """Read every sink. Raises ConfigError."""
    if value is None:
        return ()
    elements = value.elements()
    if not elements or len(elements) > _MOST_SINKS:
        raise value.error(f"expected 1 to {_MOST_SINKS} sinks: leave `notices` out to tell nobody")
    sinks: list[Sink] = []
    for element in elements:
        sink, fields = _sink(element, places, targets)
        if sink.name in {known.name for known in sinks}:
            raise fields["name"].error(f"sink `{sink.name}` stands here twice")
        if console is None and NoticeEvent.HELD in sink.events:
            raise element.error("a notice of a held request leads to the console: this gateway has none")
        sinks.append(sink)
    return tuple(sinks)


def _sink(element: Located, places: Places, targets: Sequence[Target]) -> tuple[Sink, Fields]:
    kinds = {name: found for name, _, found in element.items()}
    if "kind" not in kinds:
        raise element.error(f"key `kind` is missing; write one of {', '.join(f'`{k}`' for k in KINDS)}")
    match kinds["kind"].choice(*KINDS):
        case "webhook":
            fields = schema.NOTICES_WEBHOOK.read(element)
            return _webhook(fields, places, targets), fields
        case "slack":
            fields = schema.NOTICES_SLACK.read(element)
            return _slack(element, fields, places, targets), fields
        case _:
            fields = schema.NOTICES_APPRISE.read(element)
            return _apprise(fields, places, targets), fields


def _webhook(fields: Fields, places: Places, targets: Sequence[Target]) -> Sink:
    url = read_url(fields["url"], what="the webhook")
    secret = fields["secret"]
    written = secret.elements() if secret.is_sequence else [secret]
    secrets = [s for s in (places.secret(schema.NOTICES_SECRET, each) for each in written) if s is not None]
    if not 1 <= len(secrets) <= _MOST_SECRETS:
        raise secret.error(f"expected 1 to {_MOST_SECRETS} secrets: each of them signs")
    if len(set(secrets)) != len(secrets):
        raise secret.error("the same secret stands here twice")
    authority = places.authority(fields.get("ca_file"))
    return replace(_common(fields, targets, "webhook"), url=url.text, secrets=tuple(secrets), ca_file=authority)


def _slack(element: Located, fields: Fields, places: Places, targets: Sequence[Target]) -> Sink:
    address = places.secret(schema.NOTICES_WEBHOOK_URL, fields.get("webhook_url"))
    token = places.secret(schema.NOTICES_TOKEN, fields.get("token"))
    signing = places.secret(schema.NOTICES_SIGNING_SECRET, fields.get("signing_secret"))
    channel, team, api, people = (fields.get(k) for k in ("channel", "team", "api_url", "people"))
    if (address is None) == (token is None):
        raise element.error("Slack is reached by exactly one of `webhook_url` and `token` (with `channel`)")
    if (token is None) != (channel is None):
        raise element.error("`token` and `channel` go together: an incoming webhook has its own channel")
    if api is not None and token is None:
        raise api.error("`api_url` is for `token` alone")
    if (signing is None) != (people is None):
        raise element.error("`signing_secret` and `people` go together: without both nobody can deny in Slack")
    if team is not None and people is None:
        raise team.error("`team` is for `people` alone")
    return replace(
        _common(fields, targets, "slack"),
        url=read_url(api, what="the API of Slack").text.rstrip("/") if api else SLACK_API if token else "",
        address=address,
        token=token,
        channel=_id(channel, _SLACK_CHANNEL, "a channel", "C0123ABCD") if channel else "",
        signing_secret=signing,
        team=_id(team, _SLACK_TEAM, "a workspace", "T0123ABCD") if team else "",
        people=_people(people) if people else {},
        ca_file=places.authority(fields.get("ca_file")),
    )


def _apprise(fields: Fields, places: Places, targets: Sequence[Target]) -> Sink:
    if places.check_machine and find_spec("apprise") is None:
        raise fields["kind"].error("kind `apprise` needs the extra `notify`: install `holdpoint[notify]`")
    return replace(_common(fields, targets, "apprise"), address=places.secret(schema.NOTICES_URL, fields["url"]))


def _common(fields: Fields, targets: Sequence[Target], kind: Literal["webhook", "slack", "apprise"]) -> Sink:
    audience = Audience(fields["for"].choice(*Audience))
    return Sink(
        name=read_name(fields["name"], "a sink"),
        kind=kind,
        audience=audience,
        events=_events(fields.get("events"), audience),
        targets=_targets(fields.get("targets"), targets),
    )


def _events(value: Located | None, audience: Audience) -> frozenset[NoticeEvent]:
    if value is None:
        return USUAL[audience]
    offered = sorted(OFFERED[audience])
    return frozenset(NoticeEvent(name) for name in read_set(value, "events", lambda v: v.choice(*offered)))


def _targets(value: Located | None, targets: Sequence[Target]) -> frozenset[str]:
    if value is None:
        return frozenset()
    known = {target.name for target in targets}

    def target(element: Located) -> str:
        if element.text() not in known:
            raise element.error(f"no target is named `{element.text()}`")
        return element.text()

    return frozenset(read_set(value, "targets", target))


def _people(value: Located) -> dict[str, SlackUser]:
    people: dict[str, SlackUser] = {}
    for name, key, found in value.items():
        if not _SLACK_USER.fullmatch(name):
            raise key.error("expected the id of a Slack user, such as `U0123ABCD`")
        if found.is_mapping:
            fields = schema.NOTICES_PERSON.read(found)
            issuer, groups = fields.get("issuer"), fields.get("groups")
            people[name] = SlackUser(
                person=person_name(printable(fields["person"])),
                issuer=printable(issuer) if issuer else "",
                groups=frozenset(read_set(groups, "groups", printable)) if groups else frozenset(),
            )
        else:
            people[name] = SlackUser(person_name(printable(found)))
    if not people:
        raise value.error("an empty mapping names nobody: name at least one, or leave the key out")
    return people


def _id(value: Located, pattern: re.Pattern[str], what: str, example: str) -> str:
    if not pattern.fullmatch(value.text()):
        raise value.error(f"expected the id of {what} in Slack, such as `{example}`")
    return value.text()
