from dataclasses import replace

from tests.fakes.approvals import ask, principal

from holdpoint.stages.lately import REMEMBERED, Lately


def test_ticket_is_found_for_as_long_as_a_retry_takes():
    lately = Lately()
    lately.note(ask(), "apr-1", 100.0)
    assert lately.ticket(ask(exchange="x-2"), 100.0 + REMEMBERED - 0.1) == "apr-1"
    assert lately.ticket(ask(), 100.0 + REMEMBERED) == ""


def test_last_ticket_counts():
    lately = Lately()
    lately.note(ask(), "apr-1", 100.0)
    lately.note(ask(), "apr-2", 105.0)
    assert lately.ticket(ask(), 112.0) == "apr-2"


def test_other_requests_and_other_agents_have_none():
    lately = Lately()
    lately.note(ask(), "apr-1", 100.0)
    agents = ask(who=principal(agent="claude"))
    for other in (ask(what="destroy"), replace(agents, intent=ask().intent), replace(ask(), session="s")):
        assert lately.ticket(other, 100.0) == ""


def test_old_tickets_are_forgotten():
    lately = Lately()
    for number in range(20):
        lately.note(ask(what=str(number)), "apr-1", float(number))
    assert len(lately._told) == int(REMEMBERED)
