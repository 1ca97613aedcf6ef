"""Names that a person takes for other names (Unicode UTS 39, cut down to what can pass for ASCII)."""

# ruff: noqa: RUF001  # characters that look alike are what this file is about

import unicodedata
from typing import Final

_CYRILLIC = "аaсcеeһhіiјjкkӏlоoрpԛqѕsуyхxԁdԝwѵvѡwАAВBЕEЅSІIЈJКKМMНHОOРPСCТTУYХXԌGѴVЗ3ӀlԚQԜWҺh"
_GREEK = "αaγyιiκkνvοoρpυuχxϲcϳjΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXͿJϹC"
_OTHERS = "ոnօoսuհhցgզqլlՏSՕOԼLᎠDᎡRᎢTᎪAᎫJᎬEᎳWᎷMᎻHᏀGᏃZᏚSᏟCᏢPᏞLᏙVᏦKıiɡgɑaɩiʏyɴnǀlꓮAꓐBꓓDꓔTꓗKꓚCꓡLꓰE"
_PAIRS = _CYRILLIC + _GREEK + _OTHERS
_LETTERS: Final = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
_MARKS: Final = {**dict.fromkeys("‐‑‒–—−﹘", "-"), "․": ".", "∕": "/", "⁄": "/", "ˍ": "_", "‗": "_"}
_HONEST: Final = frozenset("ªºı")
"""Letters of languages written in Latin script: no disguise by themselves."""
_ALIKE: Final = str.maketrans({"0": "o", "O": "o", "1": "l", "I": "l", "|": "l"})


def disguised(name: str) -> str:
    """Return the ASCII name that `name` passes for, or nothing: letters of other scripts that look like Latin ones.

    A name that is honestly of another script (`検索`, `поиск`) passes for none.
    """
    if name.isascii():
        return ""
    plain = "".join(map(_plain, name))
    borrowed = [c for c, p in zip(name, plain, strict=True) if p != c and c not in _HONEST]
    is_mixed = any(c.isascii() and c.isalpha() for c in name)
    return plain if borrowed and (is_mixed or plain.isascii()) else ""


def skeleton(name: str) -> str:
    """Return what is equal for two names that look alike."""
    folded = "".join(map(_plain, unicodedata.normalize("NFC", name))).translate(_ALIKE)
    return folded.replace("rn", "m").replace("vv", "w")


def _plain(character: str) -> str:
    """Return the ASCII character that this one looks like, or itself."""
    if character.isascii():
        return character
    found = _LETTERS.get(character) or _MARKS.get(character)
    if found is None and unicodedata.category(character).startswith("L"):
        folded = unicodedata.normalize("NFKC", character)
        found = folded if len(folded) == 1 and folded.isascii() else None
    return found or character
