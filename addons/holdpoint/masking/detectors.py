r"""Detectors: what secrets and personal data look like, and the checks that tell them from lookalikes.

Every pattern is RE2. A group named `secret` is the part that is masked; without one the whole match is. Patterns avoid
`\b` before a letter: in text that holds escaped text, `\nAKIA…` has a letter there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from holdpoint.domain.mask import DetectorMask, MaskAction
from holdpoint.masking.marks import stricter
from holdpoint.masking.regex import BadPattern, Chooser, Regex, any_of, compile_regex, has_anchor
from holdpoint.masking.validators import Check, aws_secret, basic, bearer, card, iban, jwt, ssn

KUBERNETES_SECRET = "kubernetes-secret"  # noqa: S105  # a detector's name
"""The detector that knows a shape instead of a pattern: `data` and `stringData` of a Secret."""

MAX_PATTERN = 4_096
"""Characters in a pattern of one's own."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A built-in detector."""

    pattern: str
    probe: str = ""
    """A pattern that matches wherever `pattern` does and has no anchor; empty: `pattern` itself is such a one."""
    check: Check | None = None
    """Tells a real one from a lookalike."""
    looks_inside: bool = False
    """Whether the check also finds a real one that starts inside the match. Then the search goes on after it."""


_PRIVATE = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_CARD = r"[2-6](?:[ \-]?[0-9]){12,18}"
_IBAN = r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"
_SSN = r"[0-9]{3}-[0-9]{2}-[0-9]{4}"
_WORD = r"[A-Za-z0-9_\-]"

BUILT_IN: Mapping[str, Detector] = MappingProxyType(
    {
        "aws-access-key-id": Detector(r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
        "aws-secret-key": Detector(
            r"(?i:aws|secret|access.?key)[\w .\-]{0,40}[\"'\\]{0,4}\s{0,4}(?:[:=]|=>)\s{0,4}[\"'\\]{0,4}"
            r"(?P<secret>[A-Za-z0-9/+]{40,})",
            check=aws_secret,
        ),
        "aws-signed-url": Detector(
            r"(?i)X-Amz-(?:Signature|Security-Token|Credential)=(?P<secret>[A-Za-z0-9%/+=._\-]{16,})"
        ),
        "eks-token": Detector(rf"k8s-aws-v1\.{_WORD}{{20,}}"),
        "jwt": Detector(rf"e[wy]{_WORD}{{8,}}\.{_WORD}*(?:\.{_WORD}*){{1,3}}", check=jwt, looks_inside=True),
        "private-key": Detector(
            rf"(?s){_PRIVATE}.*?(?:-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----|\z)", probe=_PRIVATE
        ),
        "age-key": Detector(r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
        "putty-key": Detector(r"(?s)PuTTY-User-Key-File-[0-9]:.*", probe=r"PuTTY-User-Key-File-[0-9]:"),
        "github-token": Detector(r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"),
        "gitlab-token": Detector(rf"gl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|soat|oas|ffct)-{_WORD}{{20,}}"),
        "slack-token": Detector(
            r"xox[abeoprsc](?:\.xox[abp])?-[A-Za-z0-9\-]{10,}|xapp-[0-9]-[A-Za-z0-9\-]{10,}"
            r"|hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_\-]{20,})"
        ),
        "google-key": Detector(rf"AIza{_WORD}{{35}}|ya29\.{_WORD}{{20,}}|GOCSPX-{_WORD}{{20,}}"),
        "stripe-key": Detector(r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[A-Za-z0-9+/]{24,}={0,2}"),
        "model-api-key": Detector(
            rf"sk-ant-{_WORD}{{20,}}|sk-(?:proj|svcacct|admin)-{_WORD}{{20,}}|sk-[A-Za-z0-9]{{32,}}|hf_[A-Za-z0-9]{{30,}}"
        ),
        "registry-token": Detector(
            rf"npm_[A-Za-z0-9]{{36}}|pypi-AgEIcHlwaS5vcmc{_WORD}{{40,}}|dckr_(?:pat|oat)_{_WORD}{{20,}}"
            r"|rubygems_[a-f0-9]{48}"
        ),
        "vault-token": Detector(rf"hv[sbr]\.{_WORD}{{24,}}"),
        "cloud-token": Detector(
            rf"do[oprt]_v1_[a-f0-9]{{64}}|SG\.{_WORD}{{20,24}}\.{_WORD}{{39,50}}|AccountKey=(?P<secret>[A-Za-z0-9+/]{{40,}}={{0,2}})"
        ),
        "azure-sas": Detector(r"(?i)[?&]sig=(?P<secret>[A-Za-z0-9%+/]{30,}={0,2})"),
        "bearer": Detector(r"(?i)bearer[ \t+]{1,4}(?P<secret>[A-Za-z0-9._~+/\-]{16,}={0,2})", check=bearer),
        "basic-auth": Detector(r"(?i)basic[ \t]{1,4}(?P<secret>[A-Za-z0-9+/_\-]{4,}={0,2})", check=basic),
        "url-password": Detector(
            r"[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s/:@\"'<>\\]{0,256}:(?P<secret>[^\s/\"'<>\\]{1,512})@",
            # Without the counts, which take an automaton a hundred times as long.
            probe=r"://[^\s/:@\"'<>\\]*:[^\s/\"'<>\\]+@",
        ),
        "email": Detector(
            r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}",
            probe=r"[A-Za-z0-9._%+\-]@[A-Za-z0-9\-]+\.",
        ),
        "card-number": Detector(rf"(?:^|[^0-9])(?P<secret>{_CARD})", probe=r"[2-6](?:[ \-]?[0-9]){12}", check=card),
        "iban": Detector(
            rf"(?:^|[^A-Z0-9])(?P<secret>{_IBAN})", probe=r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2}", check=iban
        ),
        "us-ssn": Detector(rf"(?:^|[^0-9])(?P<secret>{_SSN})", probe=_SSN, check=ssn),
    }
)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text that is to be masked."""

    start: int
    end: int
    action: MaskAction


@dataclass(frozen=True, slots=True)
class _Compiled:
    regex: Regex
    group: int
    check: Check | None
    looks_inside: bool
    action: MaskAction


class Detectors:
    """Compiled detectors."""

    def __init__(self, masks: Sequence[DetectorMask]) -> None:
        """Compile. Raises BadPattern for an unknown name or a pattern that RE2 does not take."""
        self._compiled: list[_Compiled] = []
        self.probes: list[str] = []
        """Patterns without anchors: where none matches, no detector does. Holds over joined texts too."""
        anchored: list[str] = []
        patterns: list[str] = []
        for mask in masks:
            detector = BUILT_IN.get(mask.name) if not mask.pattern else Detector(mask.pattern)
            if detector is None:
                raise BadPattern(f"no detector is called `{mask.name}`, and it has no `pattern`")
            if len(detector.pattern) > MAX_PATTERN:
                raise BadPattern(f"the pattern is longer than {MAX_PATTERN} characters")
            regex = compile_regex(detector.pattern)
            if regex.search(b"") is not None:
                raise BadPattern("the pattern matches the empty text")
            self._compiled.append(
                _Compiled(regex, regex.groupindex.get(b"secret", 0), detector.check, detector.looks_inside, mask.action)
            )
            patterns.append(detector.pattern)
            probe = detector.probe or detector.pattern
            (anchored if has_anchor(probe) else self.probes).append(probe)
        self._any = any_of(self.probes)
        self._chooser = Chooser(patterns)
        self.anchored: Regex | None = any_of(anchored)
        """Patterns of one's own with anchors: they must be tried on every text by itself."""

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def find(self, text: bytes) -> list[Span]:
        """Find everything to mask, in order and without overlaps; where two meet, the stricter action takes both."""
        if self.anchored is None and (self._any is None or self._any.search(text) is None):
            return []
        spans: list[Span] = []
        for index in self._chooser.choose(text):
            spans.extend(_spans(self._compiled[index], text))
        return merge(spans)


def _spans(one: _Compiled, text: bytes) -> list[Span]:
    spans: list[Span] = []
    at = 0
    # Not finditer: a lookalike may hide a real one that starts inside it.
    while at < len(text) and (match := one.regex.search(text, at)) is not None:
        start, end = match.start(one.group), match.end(one.group)
        if start < 0:
            start, end = match.start(), match.end()
        accepted = end if one.check is None else one.check(text, start, end)
        if accepted > start:
            spans.append(Span(start, accepted, one.action))
            at = max(accepted if one.check else match.end(), at + 1)
        elif one.looks_inside:
            at = max(match.end(), at + 1)
        else:
            at = max(start, match.start() + 1)
    return spans


def merge(spans: list[Span]) -> list[Span]:
    """Put spans in order and join those that overlap, under the stricter action."""
    spans.sort(key=lambda s: s.start)
    merged: list[Span] = []
    for span in spans:
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            action = stricter(last.action, span.action) or span.action
            merged[-1] = Span(last.start, max(last.end, span.end), action)
        else:
            merged.append(span)
    return merged
