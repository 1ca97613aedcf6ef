"""Steps of the tour: what is recorded, that it holds no secret, that it is whole, that tampering shows, and replay."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.demo.call import connect, text_of
from tests.demo.layout import HOLDPOINT, ROOT
from tests.demo.people import ALICE, RITA
from tests.demo.steps_review import NOTE
from tests.demo.story import StepFailed, Story
from tests.fakes.processes import MITMDUMP, Program

from holdpoint.recording.chain import read_line, write_line


async def recorded(story: Story) -> None:
    """Every session is a file that mitmproxy opens."""
    listed = (await story.run(None, "sessions", "list")).out
    story.tell("holdpoint sessions list")
    story.show(listed)
    for session in re.findall(r"\bses-\w+", listed):
        shown = (await story.run(None, "sessions", "show", session)).out
        if "write_note" in shown:
            story.session = session
            break
    else:
        raise StepFailed("no session holds the write")
    story.tell(f"holdpoint sessions show {story.session}")
    story.show(shown)
    files = sorted(story.layout.recordings.glob(f"sessions/*/{story.session}*.flows"))
    story.check(len(files) == 1, f"the session is in {len(files)} files")
    story.flows = files[0]
    done = await asyncio.to_thread(
        subprocess.run,
        [str(MITMDUMP), "-nr", str(story.flows), "--set", f"confdir={story.layout.folder / 'mitmproxy'}"],
        cwd=ROOT,
        env=story.layout.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    story.check(done.returncode == 0, f"mitmdump does not open it: {done.stderr}")
    requests = re.findall(r"^.*\bPOST\b.*$", done.stdout, re.MULTILINE)
    story.tell(f"plain mitmdump -nr {story.flows.name}: {len(requests)} requests, the first: {requests[0].strip()}")
    story.check(len(requests) >= 5, "requests are missing from the recording")


def _strings(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [s for v in value.values() for s in _strings(v)]
        case list():
            return [s for v in value for s in _strings(v)]
        case _:
            return []


def _tokens(story: Story) -> list[str]:
    """Return every token that the people got, whole and by its signature."""
    found = [story.alice_token, story.agent_token]
    for person in (ALICE, RITA):
        for file in story.layout.tokens(person.short).rglob("*.json"):
            kept = json.loads(file.read_text("utf-8"))  # of our own making
            found += [s for s in _strings(kept) if len(s) > 30 and "://" not in s]
    return found + [t.rpartition(".")[2] for t in found if t.count(".") == 2]


async def no_secrets(story: Story) -> None:
    """What was masked on the wire is masked on disk, and no token lies anywhere."""
    wanted = {*story.secrets, *_tokens(story)}
    files = [f for f in story.layout.state.rglob("*") if f.is_file()]
    held = {str(f.relative_to(story.layout.folder)): f.read_bytes() for f in files}
    held["what the gateway printed"] = story.parts.gateway.output.encode()
    held["what the console printed"] = story.parts.console.output.encode()
    leaks = sorted({name for name, content in held.items() for s in wanted if s.encode() in content})
    story.check(not leaks, f"a secret lies in: {', '.join(leaks)}")
    told = sorted(name for name, content in held.items() if NOTE["text"].encode() in content)
    story.check(bool(told), "the search finds nothing at all, not even the note")
    story.tell(
        f"{len(wanted)} secrets and tokens looked for in {len(files)} files and"
        " in what the programs printed: none found"
    )
    story.tell(f"to compare, the note's text, which is no secret, is in {len(told)} of them")


async def verified(story: Story) -> None:
    """The log is whole."""
    said = ""
    while ", 0 lines after the last head" not in said:  # the gateway signs heads by itself, every two seconds here
        said = (await story.run(None, "audit", "verify")).out
    story.tell("holdpoint audit verify")
    story.show(said)
    story.check("the recordings are whole" in said, "not whole")


def _copy(story: Story, name: str) -> tuple[Path, list[str]]:
    """Copy the recordings; return the copy, and the arguments that point `holdpoint` at it."""
    folder = story.layout.folder / "copies" / name
    shutil.copytree(story.layout.recordings, folder)
    return folder, ["audit", "verify", "--folder", str(folder)]


async def tampered(story: Story) -> None:
    """An edited flow, and a log rewritten by somebody without the key, are both found."""
    copy, verify = _copy(story, "edited-flow")
    flows = next(copy.rglob(story.flows.name))
    content = flows.read_bytes()
    at = content.index(NOTE["text"].encode())
    flows.write_bytes(content[:at] + b"S" + content[at + 1 :])
    ran = await story.run(None, *verify, status=1)
    story.tell(f"one byte of a copy of {flows.name} changed (`ship` to `Ship`), then verified:")
    story.show(_findings(ran.out))
    story.check(f"{flows.name}, byte " in ran.out and "(edited-flow)" in ran.out, f"found something else: {ran.out}")

    copy, verify = _copy(story, "rewritten-log")
    log = next(copy.glob("audit/*.jsonl"))
    forge(log, RITA.email, "mallory@example.com")
    ran = await story.run(None, *verify, status=1)
    story.tell("in another copy Rita becomes Mallory, and every hash of the chain is computed anew, without the key:")
    story.show(_findings(ran.out))
    story.check("(rewritten)" in ran.out, f"found something else: {ran.out}")


def _findings(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if line.startswith("BAD"))


def forge(log: Path, old: str, new: str) -> None:
    """Replace text in a log and rebuild its whole chain, as whoever can write the file could. The heads stay."""
    lines = [read_line(line) for line in log.read_bytes().splitlines()]
    prev, made = lines[0].prev, b""
    for line in lines:
        written, prev = write_line(line.kind, line.body.replace(old.encode(), new.encode()), prev, line.seq)
        made += written + b"\n"
    if made == log.read_bytes():
        raise StepFailed(f"`{old}` does not occur in the log")
    log.write_bytes(made)


async def replayed(story: Story) -> None:
    """The recording answers the same client again, with everything else gone."""
    await story.open.aclose()
    await asyncio.to_thread(story.parts.stop)
    story.tell("gateway, servers, identity provider and console are stopped")
    ports = story.layout.ports
    command = ["sessions", "replay", story.session, "--port", str(ports.reverse)]
    story.tell(f"holdpoint {' '.join(command)}")
    server = Program([*HOLDPOINT, *command], env=story.layout.environment())
    try:
        await asyncio.to_thread(server.wait_for, "listening")
        async with connect(story.layout.url, story.alice_token) as client:
            secret = text_of(await client.call_tool("read_secret", {"name": "billing"}))
            wrote = text_of(await client.call_tool("write_note", NOTE))
    finally:
        await asyncio.to_thread(server.stop)
    story.tell(f"the same client again: read_secret billing -> {secret}")
    story.tell(f"write_note -> {wrote}")
    story.check(secret == story.shown and wrote == f"wrote {NOTE['name']}", "the answers are not those of before")
