"""The shipped mask profiles, read by a small reader that knows their form and nothing else."""

from functools import cache
from pathlib import Path

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.located_yaml import Located, load
from holdpoint.masking.masker import Masker, compile_masks

FOLDER = Path(__file__).parents[2] / "policies" / "masks"
NAMES = ("credentials", "kubernetes-secrets", "personal-data")
KEY = bytes(range(32))


@cache
def shipped(*names: str) -> Masker:
    """The masker for these shipped profiles; all of them without names."""
    return compile_masks([profile(name) for name in names or NAMES], key=KEY)


@cache
def profile(name: str) -> MaskProfile:
    file = FOLDER / f"{name}.yaml"
    document = load(file).fields(required=frozenset({"apiVersion", "kind", "profiles"}))
    assert (document["apiVersion"].text(), document["kind"].text()) == ("holdpoint/v1", "Masks")
    (one,) = document["profiles"].elements()
    fields = one.fields(required=frozenset({"name"}), optional=frozenset({"paths", "keys", "detectors"}))

    def masks(field: str, main: str) -> list[dict[str, str]]:
        found = fields.get(field)
        return [_mask(e, main) for e in found.elements()] if found else []

    return MaskProfile(
        fields["name"].text(),
        tuple(PathMask(m["path"], MaskAction(m.get("action", "redact"))) for m in masks("paths", "path")),
        tuple(KeyMask(m["key"], MaskAction(m.get("action", "redact"))) for m in masks("keys", "key")),
        tuple(
            DetectorMask(m["name"], m.get("pattern", ""), MaskAction(m.get("action", "redact")))
            for m in masks("detectors", "name")
        ),
    )


def _mask(element: Located, main: str) -> dict[str, str]:
    if not element.is_mapping:
        return {main: element.text()}
    return {name: value.text() for name, _, value in element.items()}
