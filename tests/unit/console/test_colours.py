"""The colours of console.css can be read by eyes that need contrast (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

import re

import pytest

from holdpoint.console.site import STATIC

CSS = (STATIC / "console.css").read_text(encoding="utf-8")
TEXT, SHAPE = 4.5, 3.0
GROUNDS = ("panel", "bg", "sunken")
PAIRS = [
    *((text, ground, TEXT) for text in ("text", "muted", "link") for ground in GROUNDS),
    *((text, ground, TEXT) for text in ("good", "bad", "warn", "odd") for ground in (*GROUNDS, f"{text}-soft")),
    *(("text", f"{soft}-soft", TEXT) for soft in ("good", "bad", "accent", "odd")),
    *(("muted", f"{soft}-soft", TEXT) for soft in ("good", "bad")),
    ("link", "accent-soft", TEXT),
    ("button-text", "button", TEXT),
    ("button-text", "button-hover", TEXT),
    ("odd", "bad-soft", TEXT),
    ("odd", "good-soft", TEXT),
    *(("focus", ground, SHAPE) for ground in GROUNDS),
    *(("field", ground, SHAPE) for ground in ("panel", "bg")),
]


def colours(dark: bool) -> dict[str, str]:
    light, _, rest = CSS.partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", rest.partition("\n}")[0])) if dark else found


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_twenty_one() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), PAIRS)
def test_what_is_read_stands_out(front: str, ground: str, least: float, dark: bool) -> None:
    found = colours(dark)
    assert contrast(found[front], found[ground]) >= least


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_schemes_have_the_same_colours(dark: bool) -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"sans", "mono", "radius", "shadow"}
    assert used <= colours(dark).keys()


def test_colours_stand_in_the_variables_alone() -> None:
    rules = CSS[CSS.index("*, *::before") :].partition("@media print")[0]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s])", rules) == []


def test_who_wants_less_motion_gets_none() -> None:
    calm = CSS.partition("@media (prefers-reduced-motion: no-preference)")[0]
    assert "animation" not in calm
    assert "transition" not in calm
