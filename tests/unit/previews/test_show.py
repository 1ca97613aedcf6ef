"""What reviewers read of a preview: masked and bounded, and never in silence."""

import json
from typing import Any

import pytest

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.masking.kubernetes import Shape
from holdpoint.masking.masker import compile_masks
from holdpoint.previews.kubernetes import Found
from holdpoint.previews.listing import Listing
from holdpoint.previews.show import LARGEST, MOST_LINES, Masks, refusal, show
from holdpoint.previews.subject import line

KEYS = MaskProfile("m", keys=(KeyMask("password", MaskAction.REDACT),), detectors=(DetectorMask("kubernetes-secret"),))


def masks(*, is_secret: bool = False) -> Masks:
    masker, shape = compile_masks([KEYS], key=b"k" * 32), Shape(is_secret=is_secret)
    return Masks(
        seal=lambda value: masker.sealed_kubernetes(value, shape),
        text=lambda text: masker.text(text).value,
        error=lambda status: as_object(masker.kubernetes(status, shape).value),
    )


def config(**data: Any) -> JsonObject:
    return {"kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}, "data": data}


def changed(before: JsonObject, after: JsonObject, **more: Any) -> Found:
    return Found("change", before=before, after=after, **more)


@pytest.mark.threat("T71")
def test_change_of_a_masked_value_shows_as_a_change_and_not_as_a_value():
    shown = show(changed(config(password="old-hunter", a="1"), config(password="new-hunter", a="1")), [], masks())
    (only,) = shown["diff"]  # type: ignore[misc]  # a list
    assert as_object(only)["path"] == "data.password"
    assert as_object(only)["before"] != as_object(only)["after"]
    assert "hunter" not in json.dumps(shown)


@pytest.mark.threat("T71")
def test_secret_stays_masked_in_every_part_of_a_preview():
    secret: JsonObject = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "aHVudGVyMg=="}}
    other: JsonObject = {**secret, "data": {"k": "aHVudGVyMw=="}, "stringData": {"x": "hunter4"}}
    for found in (
        changed(secret, other, own=other, warnings=("no `hunter4` here, nor aHVudGVyMw==",)),
        Found("create", after=other, own=other),
        Found("delete", before=secret),
    ):
        said = json.dumps(show(found, [], masks(is_secret=True)))
        assert "hunter" not in said
        assert "aHVudGVy" not in said


QUOTES = [
    'ConfigMap "c" is invalid: data.password: Invalid value: "hunter2 and more": too long',
    "data.password: Invalid value: hunter2",
    "strict decoding error: unknown value hunter2",
]


@pytest.mark.threat("T71")
@pytest.mark.parametrize("message", QUOTES)
def test_error_does_not_quote_what_is_masked(message: str):
    said: JsonObject = {"kind": "Status", "status": "Failure", "reason": "Invalid", "message": message}
    words = refusal(said, masks(), config(password="hunter2 and more"))
    assert "hunter2" not in words
    assert "[masked]" in words


def test_error_keeps_the_api_servers_own_words():
    said: JsonObject = {"kind": "Status", "status": "Failure", "message": 'deployments.apps "web" not found'}
    assert refusal(said, masks(), config(a="1")) == 'deployments.apps "web" not found'


def test_value_too_short_to_be_found_takes_the_whole_error_with_it():
    said: JsonObject = {"kind": "Status", "status": "Failure", "message": "Invalid value: 7"}
    assert "7" not in refusal(said, masks(), config(password="7"))


def test_what_is_no_status_is_not_shown():
    assert refusal({"kind": "Secret", "message": "hunter2"}, masks()) == ""


def test_lines_that_do_not_fit_are_counted_first_of_all():
    after = config(**{f"k{n:04}": "x" for n in range(MOST_LINES + 50)})
    shown = show(changed(config(), after), [line("pods", "2 Pods")], masks())
    assert len(shown["diff"]) == MOST_LINES  # type: ignore[arg-type]  # a list
    assert shown["hangs_on_it"][0] == line("note", "50 further changes are not shown: read what is asked in full")  # type: ignore[index,call-overload]


def test_long_values_are_cut_and_say_so():
    shown = show(changed(config(a="x"), config(a="y" * 100_000)), [], masks())
    assert "(cut: 100002 bytes)" in json.dumps(shown)
    assert len(json.dumps(shown)) < LARGEST


def test_large_object_is_cut_and_says_so():
    shown = show(Found("delete", before=config(**{f"k{n}": "y" * 5_000 for n in range(40)})), [], masks())
    assert "long values of it are cut" in json.dumps(shown["hangs_on_it"])
    assert len(json.dumps(shown)) < 2 * LARGEST


def test_write_that_changes_nothing_says_so():
    shown = show(changed(config(a="1"), config(a="1")), [], masks())
    assert "changes nothing" in json.dumps(shown["hangs_on_it"])


def test_new_object_shows_what_was_asked_and_what_the_server_adds():
    own: JsonObject = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    made: JsonObject = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "X"}}
    shown = show(Found("create", after=made, own=own), [], masks())
    diff: Any = shown["diff"]
    by = {one["path"]: one.get("by", "") for one in diff}
    assert by == {
        "metadata.name": "",
        "spec.ports": "",
        "spec.ports[port=80].protocol": "server",
        "spec.type": "server",
    }


def test_many_objects_are_counted_and_named_as_far_as_there_is_room():
    items = tuple[JsonObject, ...]({"metadata": {"namespace": "n", "name": f"p{n}"}} for n in range(70))
    shown = show(Found("delete many", many=Listing(items, more=True)), [], masks())
    counts = as_object(shown["counts"])
    assert (counts["matched"], counts["more"], len(counts["names"])) == (70, True, 50)  # type: ignore[arg-type]
