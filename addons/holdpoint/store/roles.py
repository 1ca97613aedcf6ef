"""SQL that gives database roles what they need of a shared store, and nothing else."""

SHOWN = (
    *("seq", "id", "principal", "actor", "target", "intent", "state", "created_at", "deadline", "resolution"),
    *("resolved_at", "grant_id", "reason", "glass", "glass_by", "person", "verb", "resource", "version", "preview"),
    "shown",
)
"""Columns of a request that hold what reviewers see: no arguments, claims or session ids."""
GRANTED = ("seq", "id", "approval", "target", "scope", "state", "created_at", "expires_at", "opens", "ended_why")


def grants(schema: str, gateway: str, reader: str = "") -> str:
    """Return SQL for the role of gateways and, where named, of somebody who reads reports.

    Nobody but gateways gets to write: a row of votes is counted as it stands, and a reviewer's login is checked before
    it is written, never after. That is why the console has no role here: it decides through a gateway.
    """
    place, role = _quoted(schema), _quoted(gateway)
    lines = [
        "-- Run as the owner of the schema, after `holdpoint store migrate` under that role, and again after each.",
        f"GRANT USAGE ON SCHEMA {place} TO {role};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {place} TO {role};",
        f"REVOKE INSERT, UPDATE, DELETE ON {place}.schema_version FROM {role};",
    ]
    if reader:
        who = _quoted(reader)
        lines += [
            "-- For reports: requests and grants as reviewers see them, and nothing to write.",
            f"GRANT USAGE ON SCHEMA {place} TO {who};",
            f"GRANT SELECT ({', '.join(SHOWN)}) ON {place}.approvals TO {who};",
            f"GRANT SELECT ({', '.join(GRANTED)}) ON {place}.grants TO {who};",
            f"GRANT SELECT ON {place}.spends TO {who};",
        ]
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
