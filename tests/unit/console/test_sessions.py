from dataclasses import replace

import pytest

from holdpoint.clock import ManualClock
from holdpoint.console.sessions import FLOW_TIME, MOST_EACH, MOST_SESSIONS, Flows, Login, Sessions

RITA = Login(id_token="token-of-rita", name="Rita", person="rita@corp.example", groups=frozenset({"sre"}))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_session_is_found_by_its_cookie_alone(clock: ManualClock) -> None:
    sessions = Sessions(clock)
    new = sessions.open(RITA)
    found = sessions.find(new.session_cookie, by_hand=True)
    assert found is not None
    assert found.id_token == "token-of-rita"
    assert sessions.find(new.decide_cookie, by_hand=True) is None
    assert sessions.find("", by_hand=True) is None


def test_every_login_has_names_of_its_own(clock: ManualClock) -> None:
    sessions = Sessions(clock)
    one, other = sessions.open(RITA), sessions.open(RITA)
    assert len({one.session_cookie, one.decide_cookie, other.session_cookie, other.decide_cookie}) == 4


def test_an_idle_session_ends(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=60)
    new = sessions.open(RITA)
    clock.advance(59)
    assert sessions.find(new.session_cookie, by_hand=True)
    clock.advance(59)
    assert sessions.find(new.session_cookie, by_hand=True)
    clock.advance(60)
    assert sessions.find(new.session_cookie, by_hand=True) is None
    assert len(sessions) == 0


def test_a_page_that_refreshes_itself_keeps_no_session_alive(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=60)
    new = sessions.open(RITA)
    clock.advance(40)
    assert sessions.find(new.session_cookie, by_hand=False)
    clock.advance(40)
    assert sessions.find(new.session_cookie, by_hand=False) is None


def test_a_busy_session_ends_too(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=60, absolute=100)
    new = sessions.open(RITA)
    clock.advance(50)
    assert sessions.find(new.session_cookie, by_hand=True)
    clock.advance(50)
    assert sessions.find(new.session_cookie, by_hand=True) is None


def test_setting_the_wall_clock_back_prolongs_nothing(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=60)
    new = sessions.open(RITA)
    clock.advance(61)
    clock.jump(-3_600)
    assert sessions.find(new.session_cookie, by_hand=True) is None


def test_a_closed_session_is_gone(clock: ManualClock) -> None:
    sessions = Sessions(clock)
    new = sessions.open(RITA)
    sessions.close(new.session_cookie)
    sessions.close(new.session_cookie)
    assert sessions.find(new.session_cookie, by_hand=True) is None


def test_one_too_many_logs_out_who_was_idle_for_longest(clock: ManualClock) -> None:
    sessions = Sessions(clock, most=2)
    first, second = sessions.open(RITA), sessions.open(RITA)
    sessions.find(first.session_cookie, by_hand=True)
    sessions.open(RITA)
    assert sessions.find(first.session_cookie, by_hand=True)
    assert sessions.find(second.session_cookie, by_hand=True) is None
    assert len(sessions) == 2


def test_a_new_login_sweeps_out_what_is_over(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=60)
    sessions.open(RITA)
    clock.advance(61)
    sessions.open(RITA)
    assert len(sessions) == 1


@pytest.mark.parametrize("wrong", ["purpose", "token", "cookie", "other session"])
def test_a_form_counts_only_with_its_own_token_and_cookie(clock: ManualClock, wrong: str) -> None:
    sessions = Sessions(clock)
    new, other = sessions.open(RITA), sessions.open(RITA)
    session = sessions.find(new.session_cookie, by_hand=True)
    stranger = sessions.find(other.session_cookie, by_hand=True)
    assert session is not None
    assert stranger is not None
    good = {
        "purpose": "decide a",
        "form_token": session.form_token("decide a"),
        "decide_cookie": new.decide_cookie,
    }
    bad = {
        "purpose": {"purpose": "decide b"},
        "token": {"form_token": "é"},
        "cookie": {"decide_cookie": new.session_cookie},
        "other session": {"form_token": stranger.form_token("decide a")},
    }
    assert session.allows(**good)
    assert not session.allows(**(good | bad[wrong]))


def test_a_login_is_taken_once_and_by_the_browser_that_began_it(clock: ManualClock) -> None:
    flows = Flows(clock)
    new = flows.begin(browser_cookie="", then="/requests/a")
    assert flows.take(state=new.state, browser_cookie="another") is None
    assert flows.take(state="another", browser_cookie=new.browser_cookie) is None
    assert flows.take(state=new.state, browser_cookie=new.browser_cookie) == new.flow
    assert flows.take(state=new.state, browser_cookie=new.browser_cookie) is None


def test_a_login_that_took_too_long_is_not_taken(clock: ManualClock) -> None:
    flows = Flows(clock)
    new = flows.begin(browser_cookie="", then="/")
    clock.advance(FLOW_TIME)
    assert flows.take(state=new.state, browser_cookie=new.browser_cookie) is None


def test_two_tabs_of_one_browser_can_both_log_in(clock: ManualClock) -> None:
    flows = Flows(clock)
    one = flows.begin(browser_cookie="", then="/requests/a")
    other = flows.begin(browser_cookie=one.browser_cookie, then="/requests/b")
    assert other.browser_cookie == one.browser_cookie
    assert flows.take(state=one.state, browser_cookie=other.browser_cookie) == one.flow
    assert flows.take(state=other.state, browser_cookie=other.browser_cookie) == other.flow


def test_a_cookie_that_nobody_handed_out_is_not_kept(clock: ManualClock) -> None:
    assert Flows(clock).begin(browser_cookie="planted", then="/").browser_cookie != "planted"


def test_logins_under_way_are_bounded(clock: ManualClock) -> None:
    flows = Flows(clock, most=2)
    first, second, third = (flows.begin(browser_cookie="", then="/") for _ in range(3))
    assert flows.take(state=first.state, browser_cookie=first.browser_cookie) is None
    assert flows.take(state=second.state, browser_cookie=second.browser_cookie)
    assert flows.take(state=third.state, browser_cookie=third.browser_cookie)


def test_who_logs_in_often_logs_out_nobody_else(clock: ManualClock) -> None:
    sessions = Sessions(clock)
    rita = sessions.open(replace(RITA, owner="u-rita"))
    eager = [sessions.open(replace(RITA, owner="u-mallory")) for _ in range(MOST_SESSIONS)]
    assert sessions.find(rita.session_cookie, by_hand=True)
    assert len(sessions) == MOST_EACH + 1
    assert sessions.find(eager[-1].session_cookie, by_hand=True)
    assert sessions.find(eager[0].session_cookie, by_hand=True) is None


def test_what_is_kept_of_browsers_goes_with_their_logins(clock: ManualClock) -> None:
    flows = Flows(clock, most=3)
    begun = [flows.begin(browser_cookie="", then="/") for _ in range(10)]
    assert len(flows._browsers) == 3
    flows.take(state=begun[-1].state, browser_cookie=begun[-1].browser_cookie)
    assert flows.begin(browser_cookie=begun[-1].browser_cookie, then="/").browser_cookie != begun[-1].browser_cookie
    clock.advance(FLOW_TIME)
    flows.begin(browser_cookie="", then="/")
    assert len(flows._browsers) == 1
