"""What finds the gateway's own credentials in answers."""

import base64

import pytest

from holdpoint.credentials.echoes import MASKED, Echoes

SECRET = 'k3y/with+"odd" signs=='


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "z", "yz", "xyz"])
def test_base64_of_a_text_with_the_secret_is_masked_whole(before: str, after: str) -> None:
    encoded = base64.b64encode(f"{before}{SECRET}{after}".encode())
    assert Echoes([SECRET]).hide(b"<" + encoded + b">") == (b"<" + MASKED + b">", 1)


def test_password_of_basic_authentication_is_masked_by_itself() -> None:
    echoes = Echoes([base64.b64encode(b"robot:c0rrect-horse").decode()])
    assert echoes.hide(b"user robot, password c0rrect-horse") == (b"user robot, password [masked]", 1)


@pytest.mark.parametrize("secrets", [[], ["short"]], ids=["none", "too-short"])
def test_nothing_to_look_for_changes_nothing(secrets: list[str]) -> None:
    data = b"a short answer"
    assert Echoes(secrets).hide(data)[0] is data


def test_answer_without_the_secret_stays_the_same_bytes() -> None:
    data = b"nothing of it" * 100
    assert Echoes([SECRET]).hide(data)[0] is data


def test_text_that_is_not_utf_8_is_looked_through() -> None:
    assert Echoes(["secret-\xff-of-ours"]).hide(b"<secret-\xff-of-ours>") == (b"<[masked]>", 1)
