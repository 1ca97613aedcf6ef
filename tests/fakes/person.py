"""A person at a browser who is sent to a login page, and at a terminal in front of kubectl."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from tests.fakes.processes import NO_AUTHORITIES, ROOT

FORM = {"email": "alice@corp.example", "login": "u-alice", "password": "alice"}
URL = re.compile(r"https?://\S+")


def log_in(text: str, **more: str) -> None:
    """Open the page that a line names, send every form that comes, and follow the way back to the program."""
    found = URL.search(text)
    assert found, text
    url = found[0]
    with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=20) as browser:
        for _ in range(12):
            page = browser.get(url)
            if page.status_code in (302, 303):
                url = str(page.url.join(page.headers["location"]))
                continue
            assert page.status_code == 200, page.text
            form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
            if "<form" not in page.text:
                return
            prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
            fields = FORM | ({"prompt": prompt[1]} if prompt else {}) | more
            sent = browser.post(str(page.url.join(form[1])) if form else url, data=fields)
            if sent.status_code == 200:
                return
            assert sent.status_code in (302, 303), sent.text
            url = str(sent.url.join(sent.headers["location"]))
    raise AssertionError("the login led nowhere")


def command_line(folder: Path) -> Path:
    """Write the program `holdpoint` as an installation would, and return it."""
    file = folder / "bin" / "holdpoint"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "addons"}" exec "{sys.executable}" -m holdpoint.cli "$@"\n')
    file.chmod(0o755)
    return file


class AtTerminal:
    """A program whose standard input is a terminal, as a person's is; a context manager."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            list(command), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd
        )
        os.close(theirs)
        self._patience = threading.Timer(60, self.process.kill)
        self._patience.start()

    def __enter__(self) -> "AtTerminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self._terminal)

    def says(self, text: str) -> str:
        """Return the next line of standard error that holds `text`."""
        assert self.process.stderr is not None
        seen = ""
        for line in self.process.stderr:
            seen += line
            if text in line:
                return line
        raise AssertionError(f"ended without `{text}`; it said:\n{seen}")

    def ends(self) -> tuple[int, str, str]:
        """Return exit status, and what is left of standard output and error."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err
