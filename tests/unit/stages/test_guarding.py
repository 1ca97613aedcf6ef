"""Patterns of guards are found however what holds them is written."""

import pytest

from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.refusal import Refusal
from holdpoint.stages.guarding import check_bytes, check_value

GUARDS = (GuardAnswer(RuleRef("p", "r", "p.yaml:1"), ("top secret", "🔑")),)
ESCAPED = r'"a t\u006fp\u0020secret"'


@pytest.mark.threat("T33")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"a":{ESCAPED}}}', id="strict"),
        pytest.param(f'{{"a":1,"a":{ESCAPED}}}', id="key-twice"),
        pytest.param(f'{{"a":1}}\n{{"a":{ESCAPED}}}\n', id="lines"),
        pytest.param(f'\ufeff{{"a":{ESCAPED}}}', id="mark"),
        pytest.param(f'/* " */ {{"a":{ESCAPED}}}', id="comment"),
        pytest.param(r'{"a":1,"a":"\ud83d\uDD11"}', id="surrogates"),
        pytest.param(r'{"a":1,"a":"\\\u0074op secret"}', id="behind-a-backslash"),
        pytest.param('{"a":1,"a":"top secret"}', id="plain"),
    ],
)
def test_a_pattern_is_found_in_json_that_only_lax_readers_can_read(body: str) -> None:
    with pytest.raises(Refusal):
        check_bytes(GUARDS, body.encode())


@pytest.mark.parametrize(
    "body", [r'{"a":1,"a":"\\u0074op secret"}', r"C:\temp\top\secret \u00 \q", "\\", '{"a":1,"a":2}']
)
def test_what_no_reader_takes_for_the_pattern_passes(body: str) -> None:
    check_bytes(GUARDS, body.encode())


@pytest.mark.threat("T33")
@pytest.mark.parametrize("blob", ["dG9wIHNlY3JldA==", "!dG9wIHNl!Y3JldA", "dG9wIHNlY3JldA!!!", "dG9wIHNl.Y3JldCEg*"])
def test_a_pattern_is_found_in_base64_with_other_characters_in_it(blob: str) -> None:
    with pytest.raises(Refusal):
        check_value(GUARDS, {"result": {"contents": [{"uri": "a:b", "blob": blob}]}})
