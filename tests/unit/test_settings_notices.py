from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, MARK, marked_place, write_gateway

from holdpoint.domain.notice import USUAL, Audience, NoticeEvent
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import SecretSource, Sink, SlackUser
from holdpoint.settings_file import load_settings

LAST = "  client_id: holdpoint-console\n"
HOOK = "name: hook, kind: webhook, for: reviewers, url: https://hooks.example.com/in, secret: {env: HOOK_SECRET}"
SLACK = "name: chat, kind: slack, for: reviewers, webhook_url: {env: SLACK_URL}"


def sinks(folder: Path, *entries: str) -> tuple[Sink, ...]:
    text = "".join(f"  - {{{entry}}}\n" for entry in entries)
    file = write_gateway(folder, (LAST, f"{LAST}notices:\n{text}"))
    return load_settings(file, ENVIRON, check_machine=False).notices


def test_nobody_is_told_by_default(tmp_path: Path) -> None:
    assert load_settings(write_gateway(tmp_path), ENVIRON, check_machine=False).notices == ()


def test_a_webhook_gets_what_its_readers_usually_want(tmp_path: Path) -> None:
    assert sinks(tmp_path, HOOK) == (
        Sink(
            name="hook",
            kind="webhook",
            audience=Audience.REVIEWERS,
            events=USUAL[Audience.REVIEWERS],
            url="https://hooks.example.com/in",
            secrets=(SecretSource(env="HOOK_SECRET"),),
        ),
    )


def test_events_targets_and_two_secrets_reach_the_settings(tmp_path: Path) -> None:
    entry = HOOK.replace("{env: HOOK_SECRET}", "[{env: NEW}, {file: old}]") + ", events: [held], targets: [web]"
    (sink,) = sinks(tmp_path, entry)
    assert sink.secrets == (SecretSource(env="NEW"), SecretSource(file=tmp_path / "old"))
    assert sink.events == {NoticeEvent.HELD}
    assert sink.targets == {"web"}


def test_a_bot_of_slack_and_its_people_reach_the_settings(tmp_path: Path) -> None:
    people = "{U123: ana@EXAMPLE.com, U234: {person: bob@x.com, issuer: https://idp, groups: [sre]}}"
    entry = (
        "name: chat, kind: slack, for: reviewers, token: {env: BOT}, channel: C012, signing_secret: {env: SIGN},"
        f" team: T012, people: {people}"
    )
    (sink,) = sinks(tmp_path, entry)
    assert (sink.token, sink.channel, sink.url) == (SecretSource(env="BOT"), "C012", "https://slack.com/api")
    assert sink.team == "T012"
    assert sink.people == {
        "U123": SlackUser("ana@example.com"),
        "U234": SlackUser("bob@x.com", "https://idp", frozenset({"sre"})),
    }


def test_an_apprise_url_is_a_secret(tmp_path: Path) -> None:
    (sink,) = sinks(tmp_path, "name: pager, kind: apprise, for: operators, url: {env: PAGER}")
    assert sink.address == SecretSource(env="PAGER")
    assert sink.events == USUAL[Audience.OPERATORS]


def wrong(name: str, entry: str, error: str) -> object:
    return pytest.param((LAST, f"{LAST}notices:\n  - {{{entry}}}\n"), error, id=name)


WRONG = [
    pytest.param((LAST, f"{LAST}notices: «[]\n"), "expected 1 to 50 sinks", id="none"),
    pytest.param((LAST, f"{LAST}notices:\n  - «{{name: x}}\n"), "key `kind` is missing", id="no kind"),
    wrong("kind", HOOK.replace("webhook", "«mail"), "`mail` is none of"),
    wrong("audience", HOOK.replace("reviewers", "«everybody"), "`everybody` is none of"),
    wrong("plain HTTP", HOOK.replace("https://hooks", "«http://hooks"), "plain HTTP is for loopback only"),
    wrong(
        "password in the URL", HOOK.replace("hooks.example", "a:b@hooks.example").replace("https", "«https"), "no user"
    ),
    wrong("secret in the file", HOOK.replace("{env: HOOK_SECRET}", "«whsec_abc"), "a secret never stands in this file"),
    wrong("no secret", HOOK.replace("{env: HOOK_SECRET}", "«[]"), "expected 1 to 4 secrets"),
    wrong("secret twice", HOOK.replace("{env: HOOK_SECRET}", "«[{env: A}, {env: A}]"), "stands here twice"),
    wrong("event", f"{HOOK}, events: [«hold]", "`hold` is none of"),
    wrong("event of others", f"{HOOK}, events: [«violation]", "`violation` is none of"),
    wrong("no event", f"{HOOK}, events: «[]", "an empty list of events"),
    wrong("target", f"{HOOK}, targets: [«shop]", "no target is named `shop`"),
    wrong("Slack's channel for a webhook", f"{SLACK}, channel: C012", "`token` and `channel` go together"),
    wrong("two roads to Slack", f"{SLACK}, token: {{env: BOT}}, channel: C012", "exactly one of"),
    wrong("no people", f"{SLACK}, signing_secret: {{env: SIGN}}", "go together"),
    wrong("nobody", f"{SLACK}, signing_secret: {{env: SIGN}}, people: «{{}}", "names nobody"),
    wrong(
        "name for an id", f"{SLACK}, signing_secret: {{env: SIGN}}, people: {{«ana: ana@x.com}}", "id of a Slack user"
    ),
    wrong(
        "no groups", f"{SLACK}, signing_secret: {{env: S}}, people: {{U123: {{person: a, groups: «[]}}}}", "empty list"
    ),
    wrong("team of nobody", f"{SLACK}, team: «T012", "`team` is for `people` alone"),
    wrong("API of a webhook", f"{SLACK}, api_url: «https://slack-gov.com/api", "`api_url` is for `token` alone"),
    wrong("apprise URL in the file", "name: p, kind: apprise, for: operators, url: «json://x", "a secret never stands"),
    wrong("unknown key", f"{HOOK}, «headers: x", "unknown key `headers`"),
]


@pytest.mark.parametrize(("change", "error"), WRONG)
def test_a_mistake_is_refused_where_it_stands(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    file = write_gateway(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, ENVIRON, check_machine=False)
    assert error in str(caught.value)
    if MARK in change[1]:
        assert str(caught.value).startswith(marked_place(file, change))


def test_a_sink_of_held_requests_needs_a_console_to_lead_to(tmp_path: Path) -> None:
    file = write_gateway(tmp_path)
    text = file.read_text("utf-8")
    file.write_text(text[: text.index("console:")] + f"notices:\n  - {{{HOOK}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="leads to the console"):
        load_settings(file, ENVIRON, check_machine=False)


def test_two_sinks_have_two_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sink `hook` stands here twice"):
        sinks(tmp_path, HOOK, HOOK)


def test_a_secret_that_is_not_there_refuses_start(tmp_path: Path) -> None:
    file = write_gateway(
        tmp_path,
        (LAST, f"{LAST}notices:\n  - {{{HOOK}}}\n"),
        ("      - {id: audit-1, file: var/keys/audit-1.pub}\n", ""),
    )
    with pytest.raises(ConfigError, match="HOOK_SECRET"):
        load_settings(file, ENVIRON)
