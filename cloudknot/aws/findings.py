"""What was found: why something is as it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# CloudFormation makes nothing again that somebody has removed or changed by hand.
MAKE_ANEW = (
    "'cloudknot configure --keep-bucket', then 'cloudknot down', then 'cloudknot configure' make the stack "
    "anew and keep its runs"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Why something is as it is.

    Parameters
    ----------
    sentence : str
        What is so, beginning in lower case and without a stop at its end.
    cure : str
        What to do about it, in words that cloudknot takes; empty where there is nothing to do.
    """

    sentence: str
    cure: str = ""


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    # What may not be looked at is neither well nor ill.
    UNKNOWN = "not looked at"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What it was, in a word or two.
    level : Level
        How it came out.
    finding : Finding
        What was found, with the cure unless it is well.
    """

    name: str
    level: Level
    finding: Finding

    def to_json(self) -> dict[str, str]:
        """Return the check for another program."""
        return {
            "check": self.name,
            "level": self.level.value,
            "found": self.finding.sentence,
            "cure": self.finding.cure,
        }


def passed(name: str, sentence: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name=name, level=Level.OK, finding=Finding(sentence=sentence))


def warned(name: str, sentence: str, cure: str) -> Check:
    """Return a check that found what may become a trouble."""
    return Check(name=name, level=Level.WARNING, finding=Finding(sentence=sentence, cure=cure))


def failed(name: str, sentence: str, cure: str) -> Check:
    """Return a check that found what keeps runs from running."""
    return Check(name=name, level=Level.FAILED, finding=Finding(sentence=sentence, cure=cure))


def unknown(name: str, sentence: str, cure: str = "") -> Check:
    """Return a check that could not be made."""
    return Check(name=name, level=Level.UNKNOWN, finding=Finding(sentence=sentence, cure=cure))
