"""How AWS Batch words a refusal."""

import uuid

from cloudknot.testing.batch.errors import BatchError, ClientException

__all__ = ["TooManyRequestsException", "UnsupportedError", "refusal"]


class TooManyRequestsException(BatchError):  # noqa: N818 - the name that AWS gives it
    """More calls in a second than the account may make; clients wait and try again."""

    code = "TooManyRequestsException"
    status = 429

    def __init__(self) -> None:
        super().__init__("Too Many Requests")


class UnsupportedError(BatchError):
    """AWS does this and the box does not; the code is none of AWS's, so that nobody takes it for one."""

    code = "UnsupportedOperation"
    status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"cloudknot.testing does not do {what}: run this against AWS, or leave it out here")


def refusal(reason: str) -> ClientException:
    """Return the refusal of a request whose content is at fault, as AWS wraps it.

    AWS wraps what it finds by reading a request, and does not wrap what it finds by looking at a resource.
    """
    return ClientException(f"Error executing request, Exception : {reason}, RequestId: {uuid.uuid4()}")
