"""Whoever asks writes text that a reviewer reads: it must not become markup, and not lie by its characters."""

from collections.abc import AsyncGenerator
from html.parser import HTMLParser

import pytest
from tests.fakes.console_browser import Browser, browser_of, request_wire

from holdpoint.domain.values import JsonObject, JsonValue

pytestmark = [pytest.mark.threat("T05"), pytest.mark.threat("T09")]
MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}</textarea></title><!--"
ODD = "approve\u202eecnanif\u200b\u2066\x1b[2J\u00a0"
ACTIVE = {"script", "img", "textarea", "title", "form", "input"}


class Tags(HTMLParser):
    """Every element of a page, with its attributes' names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def active(self) -> list[tuple[str, tuple[str, ...]]]:
        return [tag for tag in self.found if tag[0] in ACTIVE]


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        await browser.log_in()
        yield browser


def hostile(text: str, *, pending: bool = True) -> JsonObject:
    """A request in which the requester wrote `text` wherever they can, and a reviewer too."""
    principal: JsonObject = {"id": text, "kind": text, "person": text, "name": text, "groups": [text]}
    term: JsonObject = {"rule": text, "where": text, "reason": text, "reviewers": [text], "required": 1}
    vote: JsonObject = {"person": text, "name": text, "verdict": text, "comment": text, "at": 1_800_000_000.0}
    preview: JsonObject = {
        "arguments": {text: text, "nested": {text: [text]}, "long": text * 200},
        "unverified": {text: text},
        "tool": {"description": text},
    }
    change: JsonObject = {"path": text, "before": text, "after": {text: text}, "op": "change"}
    shown: JsonObject = {"diff": [change], "object": {text: text}, "warnings": [text], "error": text, "verb": text}
    shown |= {"hangs_on_it": [{"what": text, "text": text}], "counts": {"matched": 1, "names": [text]}}
    clause: JsonObject = {"reviewers": [text], "required": 2, "filled_by": [text]}
    changes: dict[str, JsonValue] = {
        "dry_run": {"state": "ready", "why": text, "at": 1_800_000_000.0, "shown": shown},
        "opens": text,
        "reason": text,
        "blocked": text,
        "summary": text,
        "principal": principal | {"actor": {"subject": text}},
        "target": text,
        "action": text,
        "resource": text,
        "reasons": [text],
        "terms": [term | {"approved_by": [text], "scope": text, "clauses": [clause]}],
        "preview": preview,
        "votes": [vote],
        "resolution": text,
        "grant": text,
        "state": "pending" if pending else "denied",
    }
    return request_wire(**changes)


@pytest.mark.parametrize("path", ["/", "/requests/apr-1", "/history"])
async def test_a_requesters_markup_is_text(browser: Browser, path: str) -> None:
    browser.gateway.add(hostile("harmless"))
    calm = Tags((await browser.get(path)).text)
    browser.gateway.add(hostile(MARKUP))
    page = (await browser.get(path)).text
    tags = Tags(page)
    assert tags.active() == calm.active()
    assert not any(name.startswith("on") for _, names in tags.found for name in names)
    assert "&lt;script&gt;alert(1)" in page
    assert "{{7*7}}" in page


@pytest.mark.parametrize("pending", [True, False], ids=["pending", "denied"])
@pytest.mark.parametrize("path", ["/", "/requests/apr-1", "/requests/apr-1/full", "/history"])
async def test_no_invisible_or_turning_character_reaches_a_page(browser: Browser, path: str, *, pending: bool) -> None:
    browser.gateway.add(hostile(ODD, pending=pending))
    page = (await browser.get(path)).text
    assert not set(page) & {"\u202e", "\u200b", "\u2066", "\x1b", "\u00a0"}
    if path != "/" or pending:
        assert "⟦U+202E⟧" in page


@pytest.mark.parametrize("state", ["failed", "none", "pending"])
async def test_why_there_is_no_dry_run_is_text(browser: Browser, state: str) -> None:
    browser.gateway.add(request_wire(dry_run={"state": state, "why": MARKUP + ODD, "shown": {"error": MARKUP}}))
    page = (await browser.get("/requests/apr-1")).text
    assert "<script>alert" not in page
    assert not set(page) & {"\u202e", "\u200b", "\x1b"}


async def test_what_grants_and_suspensions_say_is_text(browser: Browser) -> None:
    text = MARKUP + ODD
    grant: JsonObject = dict.fromkeys(("approval", "person", "target", "opens", "scope", "ended_why"), text)
    browser.gateway.grants += [grant | {"id": "g", "state": state} for state in ("active", text)]
    browser.gateway.suspended["x"] = {"who": MARKUP, "reason": text, "by": text, "at": 1.0}
    for path in ("/grants?whose=all&state=all", "/principals"):
        page = (await browser.get(path)).text
        assert "<script>alert" not in page
        assert not set(page) & {"\u202e", "\u200b", "\x1b"}
        assert "&lt;script&gt;alert(1)" in page


async def test_what_is_looked_for_comes_back_as_text(browser: Browser) -> None:
    page = (await browser.get("/history", params={"text": MARKUP, "since": MARKUP})).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_plain_text_is_not_taken_for_a_page(browser: Browser) -> None:
    browser.gateway.add(hostile(MARKUP))
    answer = await browser.get("/requests/apr-1/full")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_comment_that_comes_back_is_text(browser: Browser) -> None:
    browser.gateway.add(request_wire())
    form = await browser.form() | {"verdict": "approve", "expect": "sha256:other", "comment": MARKUP}
    page = (await browser.post("/requests/apr-1/decide", form)).text
    assert "<script>alert" not in page
    assert "&lt;/textarea&gt;" in page


async def test_what_the_issuer_says_in_an_error_is_text(browser: Browser) -> None:
    back = await browser.give_password(await browser.go_to_issuer())
    answer = await browser.get(back + "&error=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE")
    assert answer.status_code == 403
    assert "<script>" not in answer.text
    assert "⟦U+202E⟧" in answer.text


async def test_a_state_that_nobody_knows_names_no_class(browser: Browser) -> None:
    browser.gateway.add(request_wire(state='x" onmouseover="alert(1)'))
    page = (await browser.get("/requests/apr-1")).text
    assert not any("onmouseover" in names for _, names in Tags(page).found)


@pytest.mark.parametrize("odd", ["\u00ad", "a\u00ad", "a\u0430"], ids=["hidden", "hidden between", "foreign"])
async def test_odd_characters_do_not_make_a_page_of_many_times_their_size(browser: Browser, odd: str) -> None:
    arguments: JsonObject = {f"k{number}": odd * (1_300 // len(odd)) for number in range(100)}
    browser.gateway.add(request_wire(preview={"arguments": arguments}))
    page = (await browser.get("/requests/apr-1")).text
    assert len(page.encode()) < 2_500_000
    # Beyond the mark of each they are written out: nothing is hidden, and nothing passes for another letter.
    last = page.partition("k99")[2]
    assert odd[-1] not in last
    assert f"\u27e6U+{ord(odd[-1]):04X}\u27e7" in last


async def test_a_page_with_few_odd_characters_names_each(browser: Browser) -> None:
    browser.gateway.add(request_wire(preview={"arguments": {"name": "p\u0430ypal\u200b"}}))
    page = (await browser.get("/requests/apr-1")).text
    assert 'title="U+0430 CYRILLIC SMALL LETTER A"' in page
    assert 'title="U+200B ZERO WIDTH SPACE"' in page
