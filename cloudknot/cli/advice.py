"""What can be done about a failed item, by the words of its failure. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from cloudknot.runs import Run


class _Advice(NamedTuple):
    pattern: str
    cure: str
    cure_on_aws: str = ""


_OOM = "retry_failed(memory_mib=...) with more memory"
# The first that fits decides. A cause begins with the name of the exception.
_ADVICE = (
    _Advice(
        r"^CallLostError.*lack of memory|^MemoryError|^OutOfMemoryError",
        _OOM,
        f'{_OOM}, or Retry(on_oom="double") to have that done by itself',
    ),
    _Advice(
        r"^CallLostError.*signal 11|^CallLostError.*SIGSEGV",
        "a library crashed in it: other versions of what it imports, and 'cloudknot logs {run} {item}'",
    ),
    _Advice(
        r"^CallLostError",
        "'cloudknot logs {run} {item}' shows what it wrote last; retry_failed() runs such items again",
    ),
    _Advice(r"^CallTimeoutError", "retry_failed(timeout_s=...) with more time, or smaller items"),
    _Advice(
        r"^NotPicklableError",
        "return plain values or arrays rather than open files, connections, locks or generators",
    ),
    _Advice(r"^NotRebuiltError", "install here what the item's value is made of"),
    _Advice(
        r"^(ModuleNotFoundError|ImportError)",
        "install it here, where it is found by itself; for containers, or name it in Image(packages=[...])",
        "name it in Image(packages=[...]), or a system's library in Image(apt=[...])",
    ),
    _Advice(
        r"^(FileNotFoundError|NotADirectoryError)",
        "an absolute path of a file that is there; containers see the folders of volumes=[...] alone",
        "jobs on AWS do not see this machine's files: pass the data as an argument, or read it from S3",
    ),
    _Advice(r"No space left on device", "a larger disk", "a larger disk with volume_gib=..."),
    _Advice(
        r"AccessDenied|not authorized to perform|ExpiredToken|NoCredentialsError",
        "the credentials of this process do not allow it",
        "the stack's job role does not allow it: 'cloudknot configure --job-policy ARN' allows more",
    ),
    _Advice(
        r"^(EndpointConnectionError|ConnectTimeoutError|ConnectionError|URLError|gaierror)",
        "what it asks for does not answer",
        "'cloudknot doctor' looks whether its machines have a way to the internet",
    ),
)
_USUAL = (
    "'cloudknot logs {run} {item}' and 'cloudknot show {run}' show where; "
    "retry_failed(func) runs a mended function on what failed"
)


def advise(cause: str, run: Run, item: int) -> str:
    """Return what can be done about a cause of failure.

    Parameters
    ----------
    cause : str
        As `Failed.causes` words it.
    run : Run
        Whose items failed by it.
    item : int
        One of them.
    """
    for one in _ADVICE:
        if re.search(one.pattern, cause, re.DOTALL):
            cure = one.cure_on_aws if run.backend == "aws" and one.cure_on_aws else one.cure
            return cure.format(run=run.run_id, item=item)
    return _USUAL.format(run=run.run_id, item=item)
