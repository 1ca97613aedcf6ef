"""A browser for people who are not there: opens a login address and fills in the form.

`BROWSER="python -m tests.demo.browser alice %s" holdpoint login` logs Alice in unattended.
"""

import re
import sys

import httpx
from tests.demo.people import PEOPLE, Person, plain_client


class LoginFailed(Exception):  # noqa: N818  # what happened
    """The identity provider did not let somebody in."""


def fill_in(url: str, person: Person) -> None:
    """Open the login page, send the form, follow the answer home. Raises LoginFailed."""
    with plain_client() as browser:
        page = browser.get(url)
        if page.status_code != httpx.codes.OK or not re.search(r'<form method="post">', page.text):
            raise LoginFailed(f"the identity provider showed no form: {page.status_code}")
        answer = browser.post(url, data={"email": person.email, "password": person.password})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise LoginFailed(f"the identity provider did not take the password: {answer.status_code}")
        browser.get(answer.headers["location"])


def main() -> int:
    """Run as a program: the name of a person, then the address."""
    name, url = sys.argv[1:]
    fill_in(url, next(p for p in PEOPLE if p.short == name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
