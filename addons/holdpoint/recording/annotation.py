"""What mitmproxy's own lists show of a recorded flow: one line of comment, and a marker."""

from holdpoint.domain.values import JsonMapping, as_object, as_text

KEY = "holdpoint"
"""Where a flow's metadata keeps ours."""

_MARKERS = {
    "answered": ":white_check_mark:",
    "approved": ":raised_hand:",
    "refused": ":no_entry:",
    "held": ":hourglass:",
    "withheld": ":see_no_evil:",
    "failed": ":x:",
    "ended": ":stop_sign:",
    "unknown": ":question:",
}


def marker(metadata: JsonMapping) -> str:
    """Return mitmproxy's name of the emoji that stands for the outcome. Empty where nothing is known."""
    outcome = as_text(metadata.get("outcome"))
    if outcome == "answered" and as_object(metadata.get("approval")):
        return _MARKERS["approved"]
    return _MARKERS.get(outcome, "")


def comment(metadata: JsonMapping) -> str:
    """Return one line: outcome, who, what, by which rules, approved by whom, how much was masked."""
    principal = as_object(metadata.get("principal"))
    decision = as_object(metadata.get("decision"))
    approval = as_object(metadata.get("approval"))
    who = as_text(principal.get("name")) or as_text(principal.get("id"))
    what = " ".join(t for k in ("action", "resource") if (t := as_text(metadata.get(k))))
    rules = decision.get("rules")
    outcome = as_text(metadata.get("outcome"))
    why = as_text(as_object(metadata.get("refusal")).get("public")) if outcome == "ended" else ""
    parts = [
        "outcome unknown" if outcome == "unknown" else f"{outcome}: {why}" if why else outcome,
        as_text(metadata.get("declined")),
        who and f"by {who}",
        what,
        "rules " + ", ".join(str(r) for r in rules) if isinstance(rules, list) and rules else "",
        as_text(decision.get("reason")),
    ]
    if approval:
        by = approval.get("by")
        names = ", ".join(str(n) for n in by) if isinstance(by, list) else ""
        parts.append(f"approval {as_text(approval.get('id'))}" + (f" by {names}" if names else ""))
    if isinstance(masked := metadata.get("masked"), int) and masked:
        parts.append(f"{masked} values masked")
    if call := as_text(metadata.get("call")):
        parts.append(f"for tool call {call}")
    if isinstance(requests := metadata.get("requests"), list) and requests:
        parts.append(f"requests {', '.join(str(r) for r in requests)}")
    notes = metadata.get("notes")
    parts += [str(n) for n in notes] if isinstance(notes, list) else []
    return "; ".join(p for p in parts if p)
