"""Whether a job gets another attempt (user guide, job_retries; API reference, EvaluateOnExit)."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloudknot.testing.executors import Outcome

__all__ = ["action_of", "is_retried", "matches"]


def is_retried(strategy: Mapping[str, Any], attempt: int, outcome: Outcome) -> bool:
    """Return whether a failed attempt is followed by another.

    Parameters
    ----------
    strategy : mapping
        A `retryStrategy`: `attempts`, `evaluateOnExit`.
    attempt : int
        The number of the attempt that failed, from 1.
    outcome : Outcome
        How it ended.

    Examples
    --------
    >>> is_retried({"attempts": 2}, 1, Outcome(exit_code=1))
    True
    >>> is_retried({"attempts": 2}, 2, Outcome(exit_code=1))
    False
    """
    if attempt >= strategy.get("attempts", 1):
        return False
    return action_of(strategy.get("evaluateOnExit") or (), outcome) == "RETRY"


def action_of(rules: Sequence[Mapping[str, str]], outcome: Outcome) -> str:
    """Return what the first rule that matches says, and RETRY when none does.

    >>> action_of([{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "exit"}],
    ...           Outcome(exit_code=1))
    'EXIT'
    """
    found = {
        "onStatusReason": outcome.status_reason,
        "onReason": outcome.reason or "",
        "onExitCode": "" if outcome.exit_code is None else str(outcome.exit_code),
    }
    for rule in rules:
        if all(matches(rule[name], value) for name, value in found.items() if rule.get(name) is not None):
            # "The values aren't case sensitive", says the API reference of `action`, and of nothing else.
            return rule["action"].upper()
    return "RETRY"


def matches(pattern: str, value: str) -> bool:
    """Return whether a condition holds: an asterisk at its end stands for anything, nothing included.

    >>> matches("Host EC2*", "Host EC2 (instance i-0abc) terminated."), matches("Host", "Host EC2")
    (True, False)
    """
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern
