import pytest

from holdpoint.console.tried import MOST_CHANGES, tried_view
from holdpoint.domain.values import JsonObject, JsonValue


def ready(**shown: JsonValue) -> JsonObject:
    return {"state": "ready", "why": "", "at": 1_800_000_000.0, "shown": shown}


@pytest.mark.parametrize(
    "wire",
    [None, {}, "x", [], {"state": "of tomorrow"}, {"state": "none"}, {"state": 7, "shown": []}],
    ids=["missing", "empty", "text", "list", "unknown state", "none", "odd"],
)
def test_what_is_no_dry_run_is_shown_as_none(wire: JsonValue) -> None:
    view = tried_view(wire)
    assert (view.state, view.is_ready, view.has_diff, view.total) == ("none", False, False, 0)


@pytest.mark.parametrize("state", ["pending", "ready", "failed"])
def test_a_state_is_kept_with_why(state: str) -> None:
    view = tried_view({"state": state, "why": "the API server said no"})
    assert (view.state, view.why) == (state, "the API server said no")


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        pytest.param({"op": "change", "before": 3, "after": "3"}, "3", '"3"', id="a number is no text"),
        pytest.param({"op": "change", "before": "a ", "after": "a"}, '"a "', '"a"', id="a blank at the end shows"),
        pytest.param({"op": "change", "before": None, "after": ""}, "null", '""', id="null is not empty"),
        pytest.param({"op": "add", "before": 1, "after": 2}, None, "2", id="what is added was not there"),
        pytest.param({"op": "remove", "before": 1, "after": 2}, "1", None, id="what is removed is gone"),
        pytest.param({"op": "odd", "before": 1, "after": 2}, "1", "2", id="an unknown kind is a change"),
        pytest.param({"op": "change", "before": "a\nb", "after": {"k": 1}}, "a\nb", '{\n  "k": 1\n}', id="lines"),
    ],
)
def test_each_side_of_a_change_is_read_as_what_it_is(change: JsonObject, before: str | None, after: str | None) -> None:
    (found,) = tried_view(ready(diff=[change | {"path": "spec.x"}])).changes
    sides = [side.text.head if side else None for side in (found.before, found.after)]
    assert sides == [before, after]


def test_changes_are_tallied_and_counted_beyond_what_a_page_holds() -> None:
    diff: list[JsonValue] = [{"path": f"a[{n}]", "op": "add", "after": n} for n in range(MOST_CHANGES + 7)]
    view = tried_view(ready(diff=[*diff, {"path": "b", "op": "remove", "before": 1}]))
    assert (len(view.changes), view.total) == (MOST_CHANGES, MOST_CHANGES + 8)
    assert view.tally == "207 added, 1 removed"


def test_a_comparison_without_a_difference_is_an_answer() -> None:
    assert tried_view(ready(diff=[])).has_diff
    assert not tried_view(ready()).has_diff


def test_counts_are_read_and_none_is_not_zero() -> None:
    assert tried_view(ready()).matched == -1
    view = tried_view(ready(counts={"matched": 0, "more": False}))
    assert (view.matched, view.more, view.names) == (0, False, ())
    many: list[JsonValue] = [f"web-{n}" for n in range(80)]
    view = tried_view(ready(counts={"matched": 500, "more": True, "names": many}))
    assert (view.matched, view.more, len(view.names)) == (500, True, 50)


def test_what_hangs_on_it_warnings_error_and_object_are_shown() -> None:
    view = tried_view(
        ready(hangs_on_it=[{"what": "owned", "text": "3 pods"}], warnings=["old"], error="no", object={"kind": "Pod"})
    )
    assert [(hang.what, hang.text) for hang in view.hangs] == [("owned", "3 pods")]
    assert (view.warnings, view.error) == (("old",), "no")
    assert view.object is not None
    assert '"kind": "Pod"' in view.object.head
