"""What proofs find: refused or warned of, with its place and a sentence."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding should do to a definition that is to be active."""

    REFUSE = "refuse"
    WARN = "warn"


class Code(StrEnum):
    """What was proved. Each claim holds for every customer at every instant, but for those so near
    to the years 1 and 9999 that windows are cut off there.

    contradictory: the condition is never true.
    always_true: the condition is always true.
    unreachable_rule: an alternative is never what makes the condition true: without it the
    condition is true of the same customers.
    redundant_rule: a rule or group says nothing new: without it the condition is true of the same
    customers.
    shadowed_in_scheme: whoever meets the condition meets that of a segment before it, so it never
    has a member.
    same_priority: two segments of a scheme have one priority.
    priority_overlap: two segments of a scheme ask the same traits, and each has customers of its
    own beside those who fit both, whom the priority decides about.
    """

    CONTRADICTORY = "contradictory"
    ALWAYS_TRUE = "always_true"
    UNREACHABLE_RULE = "unreachable_rule"
    REDUNDANT_RULE = "redundant_rule"
    SHADOWED_IN_SCHEME = "shadowed_in_scheme"
    SAME_PRIORITY = "same_priority"
    PRIORITY_OVERLAP = "priority_overlap"


_REFUSED = frozenset({Code.CONTRADICTORY, Code.SAME_PRIORITY})


@dataclass(frozen=True, slots=True)
class Finding:
    """One proved fact. `pointer`: the rule to look at; `part`: what the claim is about, which
    holds that rule (a JSON pointer too)."""

    code: Code
    pointer: str
    detail: str
    part: str

    @property
    def severity(self) -> Severity:
        """Whether a definition with this finding should be refused when it is to be active."""
        return Severity.REFUSE if self.code in _REFUSED else Severity.WARN
