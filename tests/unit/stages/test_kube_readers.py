"""What streams of a Kubernetes answer is masked object by object, and the same however it is cut."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.mask_profiles import shipped

from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.mask import DetectorMask, KeyMask, MaskProfile
from holdpoint.domain.refusal import Refusal
from holdpoint.masking.kubernetes import NOTHING, Shape
from holdpoint.masking.masker import compile_masks
from holdpoint.masking.strict import NotJson
from holdpoint.protocols.kubernetes.lists import NotList
from holdpoint.protocols.kubernetes.watch import NotEvents
from holdpoint.stages.guarding import check_bytes
from holdpoint.stages.kube_readers import ListReader, LogReader, Reader, WatchReader

pytestmark = [pytest.mark.threat("T43")]

MASKER = compile_masks(
    [MaskProfile("p", keys=(KeyMask("password"),), detectors=(DetectorMask("kubernetes-secret"),))], key=bytes(32)
)
CODED = "UzNjcjN0LXBhNTV3b3JkLTE="
MARK = "W21hc2tlZF0="
"""`[masked]`, as the data of a Secret is written."""
SECRETS = Shape(is_secret=True)


def nothing(_shown: bytes) -> None:
    return


def read[P](reader: Reader[P], *chunks: bytes) -> bytes:
    shown = [reader.show(reader.parse(chunk)) for chunk in chunks]
    return b"".join([*shown, reader.show(reader.end())])


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, *(c % (len(data) + 1) for c in cuts), len(data)})
    return [data[a:b] for a, b in pairwise(at)]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def item(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "note": 'ü " } ] ,'}, "data": data}


ITEMS = [item("a", x=CODED), {}, item("b", y=CODED, z=CODED)]
LIST = {"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": ITEMS}
EVENTS = [
    {"type": "ADDED", "object": {"kind": "Secret", **ITEMS[0]}},
    {"type": "BOOKMARK", "object": {"kind": "Secret", "metadata": {"resourceVersion": "9"}}},
    {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
]


def watch_bytes() -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)


@given(cuts=st.lists(st.integers(0, 5000), max_size=8), indent=st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_list_is_the_same_however_it_is_cut(cuts: list[int], indent: int | None) -> None:
    data = json.dumps(LIST, indent=indent).encode()
    whole = read(ListReader(MASKER, NOTHING, nothing, 1 << 20), data)
    assert read(ListReader(MASKER, NOTHING, nothing, 1 << 20), *cut(data, cuts)) == whole
    shown = json.loads(whole)
    assert shown["items"][2]["data"] == {"y": MARK, "z": MARK}
    assert CODED not in whole.decode()
    assert list(shown) == list(LIST)
    assert shown["metadata"] == LIST["metadata"]


@pytest.mark.parametrize("name", ["kind", "metadata", "items"])
@pytest.mark.parametrize("shape", [SECRETS, NOTHING])
def test_members_may_come_in_any_order(name: str, shape: Shape) -> None:
    members = {name: LIST[name], **{k: v for k, v in LIST.items() if k != name}}
    data = json.dumps(members).encode()
    shown = read(ListReader(MASKER, shape, nothing, 1 << 20), data).decode()
    assert json.loads(shown)["metadata"] == LIST["metadata"]
    # Without the kind before them and without what was asked, nothing tells that they are Secrets.
    assert (CODED in shown) is (name == "items" and shape is NOTHING)


def test_count_is_how_many_values_were_masked() -> None:
    reader = ListReader(MASKER, SECRETS, nothing, 1 << 20)
    read(reader, json.dumps(LIST).encode())
    assert reader.count == 3


def test_object_in_the_place_of_a_list_is_held_to_be_a_secret() -> None:
    odd = {"data": {"x": CODED}, "kind": "Secret", "Items": [item("a", x=CODED)]}
    assert CODED not in read(ListReader(MASKER, SECRETS, nothing, 1 << 20), json.dumps(odd).encode()).decode()


def test_of_two_equal_keys_in_a_clean_item_both_were_looked_at() -> None:
    data = b'{"items":[{"a":1,"a":2}]}'
    assert read(ListReader(MASKER, NOTHING, nothing, 1 << 20), data) == data
    for one, other in (("b", "AKIAIOSFODNN7EXAMPLE"), ("AKIAIOSFODNN7EXAMPLE", "b")):
        with pytest.raises(NotJson):
            read(
                ListReader(shipped(), NOTHING, nothing, 1 << 20),
                f'{{"items":[{{"a":"{one}","a":"{other}"}}]}}'.encode(),
            )


OBJECTS = (Path(__file__).parents[2] / "fakes" / "kube_data" / "objects.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("chunk", [1, 700, 1 << 20])
def test_objects_as_a_cluster_has_them_pass_byte_for_byte(chunk: int) -> None:
    assert shipped().unclean(OBJECTS, NOTHING) == set()
    data = b'{"kind":"List","apiVersion":"v1","metadata":{},"items":[' + b",".join(OBJECTS * 3) + b"]}"
    assert read(ListReader(shipped(), NOTHING, nothing, 1 << 20), *pieces(data, chunk)) == data
    events = b"".join(b'{"type":"ADDED","object":' + item + b"}\n" for item in OBJECTS if b'"cells"' not in item)
    assert read(WatchReader(shipped(), NOTHING, nothing, 1 << 20), *pieces(events, chunk)) == events


@pytest.mark.parametrize("item", OBJECTS, ids=[str(i) for i in range(len(OBJECTS))])
def test_secret_in_any_string_of_an_object_is_found(item: bytes) -> None:
    places = [found.end() for found in re.finditer(rb'":"', item)]
    assert places
    for place in places[:: max(1, len(places) // 40)]:
        planted = item[:place] + b"AKIAIOSFODNN7EXAMPLE " + item[place:]
        listed = b'{"items":[' + b",".join([item, planted, item]) + b"]}"
        assert b"AKIA" not in read(ListReader(shipped(), NOTHING, nothing, 1 << 20), listed)


def test_numbers_keep_every_digit() -> None:
    data = b'{"items":[{"a":1.10,"b":123456789012345678901234567890,"c":-0.0,"d":1e2}]}'
    shown = read(ListReader(MASKER, NOTHING, nothing, 1 << 20), data)
    assert b'"a":1.10' in shown
    assert b'"b":123456789012345678901234567890' in shown


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b'{"items":[{"password":1,"a":1,"a":2}]}', NotJson, id="key twice in an item that is masked"),
        pytest.param(b'{"items":[{"a":01}]}', NotJson, id="not JSON in an item"),
        pytest.param(b'{"items":[{"a":"\xff"}]}', NotJson, id="not UTF-8"),
        pytest.param(b'{"items":[}', NotList, id="wrong bracket"),
        pytest.param(b'{"items":[{]}]}', NotList, id="crossed brackets"),
        pytest.param(b'{"kind":"Table","rows":[{"cells":[1]}]}', NotList, id="rows before their columns"),
    ],
)
def test_list_that_two_readers_could_read_differently_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(ListReader(MASKER, NOTHING, nothing, 1 << 20), data)


def test_cells_of_a_table_are_masked_by_their_columns() -> None:
    columns = [{"name": "Name"}, {"name": "Password"}]
    rows = [{"cells": ["a", "hunter2"], "object": {"kind": "Secret", **ITEMS[0]}}]
    table = {"kind": "Table", "columnDefinitions": columns, "rows": rows}
    shown = read(ListReader(MASKER, NOTHING, nothing, 1 << 20), json.dumps(table).encode())
    assert b"hunter2" not in shown
    assert CODED.encode() not in shown
    events = b"".join(
        json.dumps({"type": "ADDED", "object": {**table, "columnDefinitions": c}}).encode() for c in (columns, None)
    )
    shown = read(WatchReader(MASKER, NOTHING, nothing, 1 << 20), events)
    assert shown.count(b"[masked]") == 2
    assert shown.count(MARK.encode()) == 2
    assert b"hunter2" not in shown


@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
@settings(max_examples=100)
def test_watch_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    whole = read(WatchReader(MASKER, NOTHING, nothing, 1 << 20), watch_bytes())
    assert read(WatchReader(MASKER, NOTHING, nothing, 1 << 20), *cut(watch_bytes(), cuts)) == whole
    shown = [json.loads(line) for line in whole.splitlines()]
    assert shown[0]["object"]["data"] == {"x": MARK}
    assert shown[1:] == EVENTS[1:]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ADDED"},
        {"type": "OTHER", "object": {}},
        {"type": ["ADDED"], "object": {}},
        {"type": "ADDED", "object": {}, "data": CODED},
    ],
    ids=["no object", "unknown type", "type is no text", "more than an event"],
)
def test_what_is_no_event_of_a_watch_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(NotEvents):
        read(WatchReader(MASKER, NOTHING, nothing, 1 << 20), json.dumps(event).encode())


def test_guard_withholds_what_passes_in_any_stream() -> None:
    guards = (GuardAnswer(RuleRef("p", "r"), ("f.rbidden",)),)

    def check(shown: bytes) -> None:
        check_bytes(guards, shown)

    readers: list[tuple[Reader[Any], bytes]] = [
        (ListReader(MASKER, NOTHING, check, 1 << 20), b'{"items":[{"a":"forbidden"}]}'),
        (WatchReader(MASKER, NOTHING, check, 1 << 20), b'{"type":"ADDED","object":{"a":"f\\u006frbidden"}}'),
        (LogReader(MASKER, check), b"ok\nforbidden\n"),
    ]
    for reader, data in readers:
        with pytest.raises(Refusal, match="guard"):
            read(reader, data)
