import base64
import json
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.credentials.echoes import Echoes
from holdpoint.credentials.token_file import LOOK_EVERY, TokenFile
from holdpoint.domain.refusal import Refusal, RefusalKind


def jwt(exp: float, body: str = "x") -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp, "body": body}).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln"


def projected(folder: Path, token: str) -> Path:
    """Write a token as the kubelet does: into a new folder, to which a symbolic link is swapped."""
    fresh = folder / f"..{len(list(folder.iterdir()))}"
    fresh.mkdir()
    (fresh / "token").write_text(token)
    link = folder / "..data"
    scratch = folder / "..data_tmp"
    scratch.symlink_to(fresh)
    scratch.replace(link)
    file = folder / "token"
    if not file.is_symlink():
        file.symlink_to("..data/token")
    return file


async def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    clock = ManualClock()
    file = TokenFile(projected(tmp_path, "first-token"), clock)
    assert (await file.read()).reveal() == "first-token"
    projected(tmp_path, "second-token")
    assert (await file.read()).reveal() == "first-token"
    clock.advance(LOOK_EVERY)
    assert (await file.read()).reveal() == "second-token"
    assert file.known() == ("first-token", "second-token")


async def test_a_token_that_expires_is_read_again_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = jwt(clock.now() + 2), jwt(clock.now() + 100)
    file = TokenFile(projected(tmp_path, first), clock)
    assert (await file.read()).reveal() == first
    projected(tmp_path, second)
    clock.advance(2)
    assert (await file.read()).reveal() == second


@pytest.mark.failure("F-token-file")
async def test_an_expired_token_is_none(tmp_path: Path) -> None:
    clock = ManualClock()
    with pytest.raises(Refusal) as caught:
        await TokenFile(projected(tmp_path, jwt(clock.now())), clock).read()
    assert caught.value.kind is RefusalKind.UPSTREAM


@pytest.mark.failure("F-token-file")
async def test_a_token_that_is_gone_is_not_used_any_longer(tmp_path: Path) -> None:
    clock = ManualClock()
    file = TokenFile(projected(tmp_path, "first-token"), clock)
    await file.read()
    (tmp_path / "token").unlink()
    clock.advance(LOOK_EVERY)
    with pytest.raises(Refusal):
        await file.read()


@pytest.mark.parametrize("content", ["", "two words", "a\r\nb", "x" * 70_000], ids=["empty", "blank", "line", "large"])
async def test_what_is_no_token_is_not_sent(tmp_path: Path, content: str) -> None:
    with pytest.raises(Refusal):
        await TokenFile(projected(tmp_path, content), ManualClock()).read()


async def test_a_file_that_everybody_can_change_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token")
    file.chmod(0o666)
    with pytest.raises(Refusal):
        await TokenFile(file, ManualClock()).read()


def test_every_token_with_our_head_is_found_in_answers_as_it_stands_and_in_base64() -> None:
    head = "eyJhbGciOiJFZERTQSIsImtpZCI6ImNhbGxzLTEifQ."
    token = f"{head}eyJpc3MiOiJob2xkcG9pbnQifQ.c2lnbmF0dXJl"
    echoes = Echoes((), heads=[head])
    assert echoes.hide(f'{{"sent": "Bearer {token}"}}'.encode()) == (b'{"sent": "Bearer [masked]"}', 1)
    for before in ("", "a", "ab"):
        encoded = base64.b64encode(f"{before}{token} and more".encode())
        made, count = echoes.hide(b"<" + encoded + b">")
        assert (made, count) == (b"<[masked]>", 1)
