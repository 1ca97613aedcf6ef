import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.statement import BadStatement, Statement, moment, parse, read_moment

GOOD = Statement(
    request="apr-1",
    intent="sha256:" + "ab" * 32,
    preview="sha256:" + "cd" * 32,
    verdict="approve",
    comment="looks right",
    issuer="https://idp.example",
    subject="u-rita",
    at="2027-01-15T08:00:00Z",
)


def test_a_statement_is_written_in_one_way() -> None:
    assert GOOD.signed == (
        b'{"at":"2027-01-15T08:00:00Z","comment":"looks right","gateway":"","intent":"sha256:' + b"ab" * 32 + b'",'
        b'"preview":"sha256:' + b"cd" * 32 + b'","request":"apr-1",'
        b'"reviewer":{"issuer":"https://idp.example","subject":"u-rita"},"v":1,"verdict":"approve"}'
    )
    assert GOOD.digest == f"sha256:{hashlib.sha256(GOOD.signed).hexdigest()}"
    assert parse(GOOD.as_json()) == GOOD


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(comment=text, request=text, subject=text, verdict=st.sampled_from(["approve", "deny"]))
def test_what_is_read_back_has_the_same_digest(comment: str, request: str, subject: str, verdict: str) -> None:
    said = Statement(request, GOOD.intent, GOOD.preview, verdict, comment, GOOD.issuer, subject, GOOD.at)
    again = parse(json.loads(said.signed))
    assert (again, again.digest) == (said, said.digest)


@given(one=text, other=text)
def test_two_comments_have_two_digests(one: str, other: str) -> None:
    said = [Statement("r", GOOD.intent, GOOD.preview, "approve", c, "i", "s", GOOD.at).digest for c in (one, other)]
    assert (said[0] == said[1]) == (one == other)


WRONG: list[Any] = [
    pytest.param(None, "no object", id="nothing"),
    pytest.param([], "no object", id="a list"),
    pytest.param({}, "its keys", id="an empty object"),
    pytest.param({"extra": 1}, "its keys", id="one key more"),
    pytest.param({"v": 2}, "version", id="another version"),
    pytest.param({"v": True}, "version", id="true is not one"),
    pytest.param({"v": 1.0}, "version", id="a fraction is not one"),
    pytest.param({"verdict": "break-glass"}, "neither", id="another verdict"),
    pytest.param({"verdict": "Approve"}, "neither", id="another case"),
    pytest.param({"intent": "sha256:AB"}, "no digest", id="no digest"),
    pytest.param({"preview": ""}, "no digest", id="an empty digest"),
    pytest.param({"preview": "sha256:" + "cd" * 32 + "\n"}, "no digest", id="a line end behind a digest"),
    pytest.param({"at": "2027-01-15 08:00:00Z"}, "no time", id="a time of another form"),
    pytest.param({"at": "2027-01-15T08:00:00+00:00"}, "no time", id="a time in another spelling"),
    pytest.param({"at": "2027-02-30T08:00:00Z"}, "no time", id="a day that is none"),
    pytest.param({"at": "\uff12027-01-15T08:00:00Z"}, "no time", id="digits that are not ours"),
    pytest.param({"at": 1_800_000_000}, "no text", id="a time as a number"),
    pytest.param({"comment": None}, "no text", id="no comment"),
    pytest.param({"comment": "\ud800"}, "no character", id="half a character"),
    pytest.param({"comment": "x" * 9_000}, "no text of at most", id="a long comment"),
    pytest.param({"reviewer": {"issuer": "i"}}, "reviewer", id="half a reviewer"),
    pytest.param({"reviewer": {"issuer": "i", "subject": "s", "person": "p"}}, "reviewer", id="more of a reviewer"),
    pytest.param({"reviewer": {"issuer": "i", "subject": 7}}, "no text", id="a subject that is a number"),
    pytest.param({"gateway": None}, "no text", id="no gateway"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_no_statement_is_refused(change: Any, message: str) -> None:
    value = GOOD.as_json() | change if isinstance(change, dict) and change else change
    with pytest.raises(BadStatement, match=message):
        parse(value)


def test_a_moment_is_read_as_it_is_written() -> None:
    assert moment(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert read_moment("2027-01-15T08:00:00Z") == 1_800_000_000
