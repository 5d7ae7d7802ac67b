"""Why a job of AWS Batch failed, from the words and the exit code that it left. Pure.

The words are those of AWS's pages and source, and of people's reports; where none was found, that is said
beside the rule. Batch cuts a container's reason at 255 characters, so the rules look for beginnings.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cloudknot.aws.findings import MAKE_ANEW, Finding

DOCTOR = "'cloudknot doctor' looks at the network, the roles and the image"
_AGAIN = (
    "what it had not finished is run again by itself while a process follows the run ('cloudknot resume')"
)
_LARGER = 'retry_failed(memory_mib=...) with more, or Retry(on_oom="double") to have that done by itself'
_REBUILD = "call the Knot again, which pushes its image anew"
_GRANT = f"the role needs the permission, which 'cloudknot configure' gives to roles that it makes; {DOCTOR}"
_MATCH = 'an image for its machines with Image(platform="linux/amd64"), or others for it with arch="arm64"'
_PERSISTENT = "more than once, the store is denied or gone"


class End(NamedTuple):
    """How a job ended.

    Parameters
    ----------
    status_reason : str
        Of the job, or of its last attempt.
    reason : str
        Of the container; ECS writes it.
    exit_code : int, optional
        None where the container never ran, or its machine was lost.
    log : str
        The last lines that it wrote, where they are known.
    """

    status_reason: str = ""
    reason: str = ""
    exit_code: int | None = None
    log: str = ""


class _Rule(NamedTuple):
    pattern: str
    sentence: str
    cure: str


def _pull(words: str, sentence: str, cure: str) -> _Rule:
    return _Rule(rf"CannotPull(ECR)?Container.*({words})", f"the image cannot be pulled: {sentence}", cure)


def _start(words: str, sentence: str, cure: str) -> _Rule:
    return _Rule(rf"(CannotStart|CannotCreate)Container.*({words})", sentence, cure)


# The first that fits decides, so the narrow stand before the wide.
_RULES = (
    _Rule(
        r"Host EC2.*terminated",
        "its machine was taken away while it ran: a Spot reclaim, or a machine that broke",
        f'{_AGAIN}; spot="prefer" takes others where Spot has none, spot=False is never reclaimed',
    ),
    _Rule(
        r"Your Spot Task was interrupted",
        "its place on Fargate Spot was taken away while it ran",
        f"{_AGAIN}; spot=False is never reclaimed",
    ),
    _Rule(
        r"Job attempt duration exceeded timeout",
        "it ran longer than Batch's backstop, which is set far above what its items may take",
        "smaller jobs with chunk_size=..., or a larger timeout_s=...",
    ),
    _Rule(
        r"OutOfMemoryError",
        "its container ran out of memory{memory}, and took the supervisor with it",
        _LARGER,
    ),
    _Rule(
        r"exec format error|no match(ing manifest| for platform)",
        "its image is built for another processor architecture than its machine has",
        _MATCH,
    ),
    _pull(r"no space left", "the disk of the machine is full", "a larger disk with volume_gib=..."),
    _pull(
        r"not authorized|denied|no basic auth|AccessDenied",
        "the role that pulls it may not",
        _GRANT,
    ),
    _pull(
        r"not found|manifest unknown|whether the image exists|does not exist",
        "it is not in the repository any more",
        _REBUILD,
    ),
    _pull(
        r"i/o timeout|request canceled|Client\.Timeout|dial tcp|no route|deadline exceeded",
        "the machine has no network way to the registry",
        "a route to the internet or endpoints for ECR and S3 for its subnets; " + DOCTOR,
    ),
    _pull(
        r"toomanyrequests|context canceled|Rate exceeded|429",
        "the registry was too busy, in every attempt",
        f"larger chunks with chunk_size=..., so that fewer machines pull at once; {_AGAIN}",
    ),
    _pull(r"", "the registry's words are {words}", DOCTOR),
    _start(
        r"logging driver|[Cc]loudwatch",
        "its container was not started, since its log cannot be written to CloudWatch: {words}",
        _GRANT,
    ),
    _start(
        r"no such file or directory|executable file not found",
        "its image has no cloudknot in it: /opt/cloudknot/bin/python is not there",
        _REBUILD,
    ),
    _Rule(
        r"did not contain json key",
        "a secret does not hold the key that was asked for: {words}",
        "name another key of it in secrets={...}",
    ),
    _Rule(
        r"(retrieve secrets? from (asm|ssm)|Fetching secret data|invalid ssm parameters).*"
        r"(AccessDenied|not authorized)",
        "the execution role may not read a secret: {words}",
        "name the secret to 'cloudknot configure', or allow the execution role to read it",
    ),
    _Rule(
        r"retrieve secrets? from (asm|ssm)|Fetching secret data|invalid ssm parameters",
        "a secret cannot be read: {words}",
        "the ARN of a secret of this region that is there, in secrets={...}",
    ),
    _Rule(
        r"ResourceInitializationError.*(i/o timeout|request canceled|dial tcp|deadline exceeded)",
        "its machine has no network way to AWS's services",
        "a route to the internet, or endpoints, for its subnets; " + DOCTOR,
    ),
    _Rule(r"ResourceInitializationError.*registry auth", "the execution role may not pull the image", _GRANT),
    _Rule(
        r"ResourceInitializationError.*logger",
        "its log cannot be written to CloudWatch: {words}",
        _GRANT,
    ),
    _Rule(r"ResourceInitializationError", "its machine could not be set up: {words}", DOCTOR),
    _Rule(
        r"unable to assume the role",
        "ECS may not assume the job's role, or does not know it yet",
        f"a role that was just made is known after a minute; {DOCTOR}",
    ),
    _Rule(
        r"Container Overrides length",
        "Batch refused it: what is sent with each job is longer than 8,192 characters",
        "pass what is long as an argument of the function, not in env_vars={...}",
    ),
    _Rule(
        r"JobQueue deleted",
        "its queue was deleted",
        f"retry_failed() runs it in the stack's queues of today; where there are none, {MAKE_ANEW}",
    ),
    _Rule(r"Dependent Job failed", "a job that it waited for failed", "look at that one"),
    _start(r"", "its container was not started: {words}", DOCTOR),
    _Rule(
        r"Task failed to start",
        "its container was not started, and AWS says no more than {words}",
        DOCTOR,
    ),
)
_OF_CODES = {
    75: (
        "the run's bucket could not be read or written, or its machine went away, in every attempt",
        f"'cloudknot doctor' looks at the bucket and the job role; {_PERSISTENT}",
    ),
    125: ("the container engine of its machine failed", DOCTOR),
    126: ("its image's Python may not be executed", _REBUILD),
    127: ("its image has no cloudknot in it: a program was not found", _REBUILD),
    132: (
        "a library in it uses instructions that its machine's processor does not have",
        "newer machines with instance_types=(...), or a build of the library for all processors",
    ),
    137: (
        "it was killed with SIGKILL from outside, as for lack of memory or at the end of a timeout",
        f"if memory is the reason: {_LARGER}",
    ),
    139: (
        "the supervisor itself broke with a segmentation fault: a library in its image fits its machine not",
        "look at its log; " + _MATCH,
    ),
    143: (
        "it was asked to end (SIGTERM): it was terminated, or its machine is going away",
        _AGAIN,
    ),
}
_STOPPED_FOR = re.compile(r"Canceled by JobStateTimeLimit action due to reason: (.*)", re.DOTALL)
_WRONG_MACHINE = "exec format error"
_USUAL = "Essential container in task exited"


def explain_end(end: End, *, memory_mib: str = "") -> Finding:
    """Return why a job failed.

    Parameters
    ----------
    end : End
        What is known of it.
    memory_mib : str, optional
        What it had asked for.

    Examples
    --------
    >>> explain_end(End(exit_code=75)).sentence
    "the run's bucket could not be read or written, or its machine went away, in every attempt"
    """
    # What the log says was written by anybody, so that only the kernel's own last words in it are taken.
    log = _last(end.log) if end.log.rstrip().endswith(_WRONG_MACHINE) else ""
    said = "\n".join((end.status_reason, end.reason, log))
    words = repr(_last(end.reason) or _last(end.status_reason))
    memory = f" (memory_mib={memory_mib})" if memory_mib else ""
    for rule in _RULES:
        if re.search(rule.pattern, said, re.DOTALL):
            return Finding(sentence=rule.sentence.format(words=words, memory=memory), cure=rule.cure)
    if end.exit_code is None:
        return Finding(sentence=f"Batch ended it: {words}" if words != "''" else "Batch says no reason")
    return _explain_code(end)


def stopped_for(status_reason: str) -> str | None:
    """Return the reason for which a queue's time limit ended a job; None where none did.

    Examples
    --------
    >>> stopped_for("Canceled by JobStateTimeLimit action due to reason: CAPACITY:NONE")
    'CAPACITY:NONE'
    """
    found = _STOPPED_FOR.match(status_reason)
    return found[1] if found else None


def _explain_code(end: End) -> Finding:
    sentence, cure = _OF_CODES.get(
        end.exit_code or 0,
        (f"cloudknot's supervisor failed with exit code {end.exit_code}", "its log says more"),
    )
    if end.reason and end.exit_code not in _OF_CODES:
        sentence += f": {_last(end.reason)!r}"
    if end.log:
        sentence += f"; its last line is {_last(end.log)!r}"
    return Finding(sentence=sentence, cure=cure)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines and text != _USUAL else ""
