"""Pages of past requests: filtered, full, and without what is large."""

from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, principal, reviewer, term

from holdpoint.admin.errors import AdminError
from holdpoint.approvals.wire_form import to_json
from holdpoint.domain.approval import ApprovalState, DryRun, DryRunState, Verdict, preview_digest
from holdpoint.domain.decision import Clause
from holdpoint.domain.grant import GrantState
from holdpoint.stages.page_filters import may_see, page_wanted
from holdpoint.store.wanted import Wanted

SRE, LEGAL = frozenset({"group:sre"}), frozenset({"group:legal"})
AUDITOR = replace(reviewer("ann@example", "none"), roles=frozenset({"auditor"}))
LARGE = DryRun(DryRunState.READY, shown={"object": {"data": "x" * 50_000}})


async def three(home: House) -> list[str]:
    ids = []
    for what, person, names in (("a_b", "alice@example", SRE), ("axb", "Zoë@example", SRE), ("c", None, LEGAL)):
        owners = frozenset({"alice@example"}) if person is None else frozenset()
        asked = ask(term(reviewers=names), what=what, who=principal(person, owners=owners))
        ids.append((await home.broker.request(asked)).id)
        home.clock.advance(10)
    return ids


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(Wanted(), [2, 1, 0], id="all"),
        pytest.param(Wanted(frozenset({ApprovalState.DENIED})), [], id="none in that state"),
        pytest.param(Wanted(target="shop"), [2, 1, 0], id="target"),
        pytest.param(Wanted(target="Shop"), [], id="another target"),
        pytest.param(Wanted(person="alice@example"), [0], id="person"),
        pytest.param(Wanted(verb="tools/call"), [2, 1, 0], id="verb"),
        pytest.param(Wanted(verb="get"), [], id="another verb"),
        pytest.param(Wanted(text="A_B"), [0], id="text, in any case, taken by its letters"),
        pytest.param(Wanted(text="%"), [], id="text that is no pattern"),
        pytest.param(Wanted(text="alice"), [0], id="text in a person's name"),
        pytest.param(Wanted(text="\\"), [], id="text that escapes nothing"),
        pytest.param(Wanted(since=1_800_000_010.0), [2, 1], id="from"),
        pytest.param(Wanted(until=1_800_000_010.0), [0], id="until"),
        pytest.param(Wanted(readers=SRE), [1, 0], id="reviewers"),
        pytest.param(Wanted(readers=frozenset({"requester:alice@example"})), [2, 0], id="requester and owner"),
        pytest.param(Wanted(readers=frozenset()), [], id="nobody"),
    ],
)
async def test_page_is_about_what_is_wanted(home: House, wanted, found):
    ids = await three(home)
    assert [r.id for r in await home.broker.list(wanted=wanted)] == [ids[i] for i in found]


@pytest.mark.threat("T67")
async def test_page_is_full_of_what_its_reader_may_see(home: House):
    for number in range(12):
        await home.broker.request(ask(term(reviewers=LEGAL if number % 3 else SRE), what=f"w{number}"))
    reader = reviewer("bob@example", "sre")
    wanted = page_wanted({}, reader)
    first = await home.broker.list(wanted=wanted, limit=3)
    rest = await home.broker.list(wanted=wanted, limit=3, before=first[-1].id)
    assert [len(first), len(rest)] == [3, 1]
    assert all(may_see(reader, r) for r in (*first, *rest))
    assert len(await home.broker.list(wanted=page_wanted({}, AUDITOR))) == 12
    assert await home.broker.list(wanted=page_wanted({}, reviewer("mallory@example", "dev"))) == ()


@pytest.mark.threat("T67")
async def test_reviewers_whom_a_stricter_rule_adds_see_it_too(home: House):
    held = await home.broker.request(ask(term(also=(Clause(LEGAL),))))
    await home.broker.request(ask(term(rule="more", reviewers=frozenset({"group:late"}))))
    for name in ("group:sre", "group:legal", "group:late"):
        wanted = Wanted(readers=frozenset({name}))
        assert [r.id for r in await home.broker.list(wanted=wanted)] == [held.id], name


@pytest.mark.parametrize(
    ("params", "told"),
    [
        pytest.param({"state": ["broken"]}, "unknown state", id="state"),
        pytest.param({"text": "x" * 501}, "longer than", id="text"),
    ],
)
def test_page_that_makes_no_sense_is_refused(params, told):
    with pytest.raises(AdminError, match=told):
        page_wanted(params, AUDITOR)


def test_page_is_read_from_what_was_asked():
    params = {
        "state": ["denied"],
        "target": "shop",
        "from": 5,
        "until": True,
        "text": None,
        "person": "p",
        "verb": "get",
    }
    wanted = Wanted(frozenset({ApprovalState.DENIED}), "shop", "p", "get", since=5.0)
    assert page_wanted(params, AUDITOR) == wanted


@pytest.mark.threat("T67")
async def test_page_leaves_out_what_is_large_and_keeps_its_digest(home: House):
    asked = ask()
    asked.preview.update(filler="x" * 50_000, summary="scale web to 3", resource="deployments web")
    held = await home.broker.request(asked, dry_run=LARGE)
    (listed,) = await home.broker.list()
    assert listed.ask.preview == {"summary": "scale web to 3", "resource": "deployments web"}
    assert (listed.dry_run.state, listed.dry_run.shown) == (DryRunState.READY, {})
    assert preview_digest(listed) == preview_digest(held)
    assert (await home.broker.get(held.id)).dry_run == LARGE
    await home.restart()
    assert await home.broker.get(held.id) == held


async def test_page_counts_the_votes_that_count(home: House):
    held = await home.broker.request(ask(term(required=2)), dry_run=LARGE)
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "")
    (listed,) = await home.broker.list()
    assert [t["approved_by"] for t in to_json(listed)["terms"]] == [["bob@example"]]
    await home.broker.note_dry_run(held.id, replace(LARGE, at=1.0, shown={"other": "x" * 5_000}))
    (listed,) = await home.broker.list()
    assert [t["approved_by"] for t in to_json(listed)["terms"]] == [[]]


async def test_requests_of_an_earlier_version_are_listed_and_searched(home: House):
    held = await home.broker.request(ask())
    before = "UPDATE approvals SET version = 0, person = '', verb = '', resource = '', read_digest = ''"
    await home.store._writer.run(lambda c: c.execute(before))
    await home.store._writer.run(lambda c: c.execute("DELETE FROM readers"))
    await home.restart()
    wanted = Wanted(person="alice@example", verb="tools/call", text="deploy", readers=SRE)
    (listed,) = await home.broker.list(wanted=wanted)
    assert (listed.id, preview_digest(listed)) == (held.id, preview_digest(held))


async def test_grants_are_listed_by_state_principal_and_person(home: House):
    ids = await three(home)
    for approval_id, group in zip(ids, ("sre", "sre", "legal"), strict=True):
        await home.broker.vote(approval_id, reviewer("bob@example", group), Verdict.APPROVE, "")
    grants = await home.broker.grants()
    assert [g.approval for g in grants] == ids[::-1]
    assert [g.approval for g in await home.broker.grants(person="alice@example")] == [ids[2], ids[0]]
    assert [g.approval for g in await home.broker.grants(principal=grants[1].principal)] == [ids[1]]
    assert [g.id for g in await home.broker.grants(limit=1, before=grants[0].id)] == [grants[1].id]
    await home.broker.end_grant(grants[0].id, GrantState.REVOKED, "no longer needed")
    (ended,) = await home.broker.grants(states=frozenset({GrantState.REVOKED}))
    assert (ended.ended_why, ended.ended_at) == ("no longer needed", home.clock.now())
    assert await home.broker.grants(states=frozenset()) == ()


@pytest.mark.parametrize("name", ["target", "person", "verb", "text"])
@pytest.mark.parametrize("odd", ["a\0b", "\ud800"], ids=["NUL", "half a character"])
def test_what_no_name_holds_is_not_looked_for(name: str, odd: str) -> None:
    with pytest.raises(AdminError) as caught:
        page_wanted({name: odd}, AUDITOR)
    assert caught.value.code == "bad_request"
