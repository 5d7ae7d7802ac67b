"""Why a resource failed, as CloudFormation's events say it."""

import uuid

from botocore.exceptions import ClientError

from cloudknot.testing.batch.errors import BatchError
from cloudknot.testing.stacks.calls import Unfit
from cloudknot.testing.stacks.refusals import Refusal

__all__ = ["is_gone", "reason_of"]

_GONE = ("NotFound", "NoSuch", "NonExistent", "DoesNotExist")


def reason_of(error: Exception, logical_id: str) -> str:
    """Return the reason of an event.

    Parameters
    ----------
    error : Exception
        What the service has answered, or what was wrong before it was asked.
    logical_id : str
        Of the resource.
    """
    if isinstance(error, Unfit):
        return f"Properties validation failed for resource {logical_id} with message:\n[{error}]"
    if isinstance(error, Refusal):
        return str(error.message)
    words, code = _words(error)
    return (
        f'Resource handler returned message: "{words}" '
        f"(RequestToken: {uuid.uuid4()}, HandlerErrorCode: {code})"
    )


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, PermissionError):
        return str(error), "AccessDenied"
    if isinstance(error, FileExistsError):
        return str(error), "AlreadyExists"
    if isinstance(error, BatchError):
        return error.message, "InvalidRequest"
    if isinstance(error, ClientError):
        told, meta = error.response["Error"], error.response["ResponseMetadata"]
        status, request = meta.get("HTTPStatusCode", 400), uuid.uuid4()
        words = f"{told.get('Message', '')} (Status Code: {status}, Request ID: {request})"
        return words, _code(str(told.get("Code", "")))
    return str(getattr(error, "message", None) or error), "GeneralServiceException"


def _code(code: str) -> str:
    if any(part in code for part in _GONE):
        return "NotFound"
    if "Exists" in code or "Duplicate" in code:
        return "AlreadyExists"
    return "InvalidRequest"


def is_gone(error: Exception) -> bool:
    """Whether an error says that what is to be removed is not there."""
    if isinstance(error, ClientError):
        return any(part in str(error.response["Error"].get("Code", "")) for part in _GONE)
    return isinstance(error, BatchError) and error.message.endswith(("does not exist", " not found."))
