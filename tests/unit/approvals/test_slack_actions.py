"""What is pressed in Slack: signed, recent, new, by somebody whom the settings name; and only ever a denial."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from tests.fakes.notice_receivers import SIGNING_SECRET, pressed, signed

from holdpoint.approvals.errors import NotAllowed
from holdpoint.approvals.slack_actions import (
    MOST_SEEN,
    WINDOW,
    App,
    Denial,
    NotFromSlack,
    SlackActions,
    TooMuch,
    read_apps,
)
from holdpoint.clock import ManualClock
from holdpoint.domain.notice import Audience
from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import Secret
from holdpoint.settings import SecretSource, Sink, SlackUser

ANA, BOB = SlackUser("ana@x.com"), SlackUser("bob@x.com", "https://idp", frozenset({"sre"}))
APP = App(Secret(SIGNING_SECRET), "", {"U123": ANA, "U234": BOB})
APPROVAL = "apr-01h455vb4pex5vsknk084sn02q"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def read(actions: SlackActions, body: bytes, *, at: float | None = None, secret: str = SIGNING_SECRET) -> Denial | None:
    timestamp, signature = signed(body, at=actions.clock.now() if at is None else at, secret=secret)
    return actions.read(body, timestamp=timestamp, signature=signature)


def test_a_denial_names_the_request_and_who_the_settings_say_that_user_is(clock: ManualClock) -> None:
    actions = SlackActions([APP], clock)
    first = read(actions, pressed(APPROVAL))
    assert first is not None
    assert (first.approval, first.reviewer.person, first.reviewer.groups) == (APPROVAL, "ana@x.com", frozenset())
    second = read(actions, pressed(APPROVAL, "U234"))
    assert second is not None
    assert (second.reviewer.person, second.reviewer.groups) == ("bob@x.com", {"sre"})
    assert (second.reviewer.issuer, second.reviewer.subject) == ("https://idp", "slack:U234")
    assert first.reviewer.roles == second.reviewer.roles == frozenset()


@pytest.mark.threat("T81")
def test_slacks_own_example_of_a_signature_is_taken(clock: ManualClock) -> None:
    # docs.slack.dev, "Verifying requests from Slack".
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    clock.jump(1531420618 - clock.now())
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    with pytest.raises(NotAllowed):  # verified, and then no action that we know
        SlackActions([APP], clock).read(body, timestamp="1531420618", signature=signature)


FORGED = [
    pytest.param({"secret": "another"}, id="another secret"),
    pytest.param({"at": 1_800_000_000.0 - WINDOW - 1}, id="old"),
    pytest.param({"at": 1_800_000_000.0 + WINDOW + 1}, id="of tomorrow"),
]


@pytest.mark.threat("T81")
@pytest.mark.parametrize("how", FORGED)
def test_what_slack_did_not_sign_just_now_is_refused(clock: ManualClock, how: dict[str, float | str]) -> None:
    with pytest.raises(NotFromSlack):
        read(SlackActions([APP], clock), pressed(APPROVAL), **how)  # type: ignore[arg-type]


ODD_HEADERS = [
    pytest.param("", "v0=" + "0" * 64, id="no timestamp"),
    pytest.param("1800000000", "", id="no signature"),
    pytest.param("1800000000", "v1=" + "0" * 64, id="another version"),
    pytest.param("1800000000", "v0=" + "0" * 63, id="short signature"),
    pytest.param("1_800_000_000", "v0=" + "0" * 64, id="digits as Python reads them"),
    pytest.param("١٨٠٠٠٠٠٠٠٠", "v0=" + "0" * 64, id="digits of Arabic"),
    pytest.param("9" * 400, "v0=" + "0" * 64, id="huge timestamp"),
]


@pytest.mark.threat("T81")
@pytest.mark.parametrize(("timestamp", "signature"), ODD_HEADERS)
def test_odd_headers_are_refused(clock: ManualClock, timestamp: str, signature: str) -> None:
    with pytest.raises(NotFromSlack):
        SlackActions([APP], clock).read(pressed(APPROVAL), timestamp=timestamp, signature=signature)


@pytest.mark.threat("T81")
def test_a_changed_body_is_refused(clock: ManualClock) -> None:
    body = pressed(APPROVAL)
    timestamp, signature = signed(body, at=clock.now())
    with pytest.raises(NotFromSlack):
        SlackActions([APP], clock).read(body.replace(b"U123", b"U234"), timestamp=timestamp, signature=signature)


@pytest.mark.threat("T81")
@pytest.mark.parametrize("ahead", [0.0, WINDOW - 1])
def test_nothing_counts_twice_for_as_long_as_it_is_recent(clock: ManualClock, ahead: float) -> None:
    actions, body = SlackActions([APP], clock), pressed(APPROVAL)
    timestamp, signature = signed(body, at=clock.now() + ahead)
    assert actions.read(body, timestamp=timestamp, signature=signature) is not None
    for _ in range(20):
        with pytest.raises(NotFromSlack):
            actions.read(body, timestamp=timestamp, signature=signature)
        clock.advance(WINDOW / 5)


@pytest.mark.threat("T81")
def test_what_was_seen_takes_bounded_memory(clock: ManualClock) -> None:
    actions = SlackActions([APP], clock)
    actions._seen = {str(n): clock.now() + 60 for n in range(MOST_SEEN)}
    with pytest.raises(TooMuch):
        read(actions, pressed(APPROVAL))
    clock.advance(61)
    assert read(actions, pressed(APPROVAL)) is not None


NOBODY = [
    pytest.param(pressed(APPROVAL, "U999"), id="not in the settings"),
    pytest.param(pressed(APPROVAL, ""), id="no user"),
    pytest.param(pressed(APPROVAL, user={"name": "U123"}), id="name for an id"),
    pytest.param(pressed("../../x"), id="no request"),
    pytest.param(pressed(""), id="no value"),
    pytest.param(b"payload=%7B&payload=%7B", id="two payloads"),
    pytest.param(b"payload=%5B%5D&x=%zz", id="broken"),
    pytest.param(b"\xff\xfe", id="not text"),
    pytest.param(urlencode({"payload": '{"type": "block_actions", "type": "x"}'}).encode(), id="duplicate keys"),
    pytest.param(urlencode({"payload": "[" * 500}).encode(), id="deep"),
]


@pytest.mark.threat("T81")
@pytest.mark.parametrize("body", NOBODY)
def test_who_or_what_is_not_known_denies_nothing(clock: ManualClock, body: bytes) -> None:
    with pytest.raises(NotAllowed):
        read(SlackActions([APP], clock), body)


IDLE = [
    pytest.param(pressed(APPROVAL, action="holdpoint-open"), id="the button that opens"),
    pytest.param(pressed(APPROVAL, action="holdpoint-approve"), id="a button that does not exist"),
    pytest.param(pressed(APPROVAL, type="view_submission"), id="another kind of payload"),
    pytest.param(pressed(APPROVAL, actions=[]), id="nothing pressed"),
]


@pytest.mark.parametrize("body", IDLE)
def test_every_other_press_does_nothing(clock: ManualClock, body: bytes) -> None:
    assert read(SlackActions([APP], clock), body) is None


@pytest.mark.threat("T81")
def test_a_user_of_another_workspace_is_nobody(clock: ManualClock) -> None:
    actions = SlackActions([replace(APP, team="T012")], clock)
    assert read(actions, pressed(APPROVAL)) is not None
    for other in ({"team": {"id": "T999"}}, {"user": {"id": "U123", "team_id": "T999"}}):
        with pytest.raises(NotAllowed):
            read(actions, pressed(APPROVAL, **other))
    with pytest.raises(NotAllowed):
        read(actions, pressed(APPROVAL, team=None, user={"id": "U123"}))


def test_people_of_one_app_are_not_those_of_another(clock: ManualClock) -> None:
    other = App(Secret("another"), "", {"U777": ANA})
    actions = SlackActions([APP, other], clock)
    assert read(actions, pressed(APPROVAL, "U777"), secret="another") is not None
    with pytest.raises(NotAllowed):
        read(actions, pressed(APPROVAL, "U777"))


def test_one_user_is_one_person() -> None:
    source = SecretSource(env="SIGN")
    one = Sink("a", "slack", Audience.REVIEWERS, frozenset(), signing_secret=source, people={"U123": ANA})
    assert len(read_apps([one, replace(one, name="b")], {"SIGN": "s"})) == 2
    with pytest.raises(ConfigError, match="another person"):
        read_apps([one, replace(one, name="b", people={"U123": BOB})], {"SIGN": "s"})
    assert read_apps([Sink("c", "slack", Audience.REVIEWERS, frozenset())], {}) == ()
