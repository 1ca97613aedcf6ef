"""Who asks the test API server: bearer tokens, and impersonation as a real one takes it."""

import dataclasses
from dataclasses import dataclass, field

GATEWAY_TOKEN = "token-of-the-gateway-at-the-cluster"
ALICE_TOKEN = "token-of-alice-at-the-cluster"


@dataclass(frozen=True, slots=True)
class User:
    """As the API server knows them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)
    behind: str = ""
    """Who impersonates, if somebody does."""


class Refused(Exception):  # noqa: N818  # an answer
    """401 or 403."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Identities:
    """Tokens and those who may impersonate."""

    def __init__(self) -> None:
        self.users = {
            GATEWAY_TOKEN: User("gateway", ("system:authenticated",), "uid-gateway"),
            ALICE_TOKEN: User("alice@corp.example", ("sre", "system:authenticated"), "uid-alice"),
        }
        """By token; a test may add some."""
        self.impersonators = {"gateway"}

    def who(self, headers: list[tuple[str, str]], refused: set[str]) -> User:
        """Return who asks. Raises Refused."""
        tokens = [v.removeprefix("Bearer ") for k, v in headers if k == "authorization"]
        user = self.users.get(tokens[0]) if len(tokens) == 1 and tokens[0] not in refused else None
        if user is None:
            raise Refused(401, "Unauthorized", "Unauthorized")
        names = [v for k, v in headers if k == "impersonate-user"]
        others = [(k, v) for k, v in headers if k.startswith("impersonate-") and k != "impersonate-user"]
        if not names or not names[0]:
            if others:
                raise Refused(500, "InternalError", "requested impersonation without impersonating a user")
            return user
        if user.name not in self.impersonators:
            said = f'User "{user.name}" cannot impersonate resource "users" in API group "" at the cluster scope'
            raise Refused(403, "Forbidden", f'users "{names[0]}" is forbidden: {said}')
        groups = [v for k, v in others if k == "impersonate-group"]
        if "system:authenticated" not in groups:
            groups.append("system:authenticated")
        extra: dict[str, list[str]] = {}
        for key, value in others:
            if key.startswith("impersonate-extra-"):
                extra.setdefault(key.removeprefix("impersonate-extra-"), []).append(value)
        uid = next((v for k, v in others if k == "impersonate-uid"), "")
        return dataclasses.replace(User(names[0], tuple(groups), uid, extra), behind=user.name)
