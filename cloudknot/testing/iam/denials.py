"""What AWS answers when IAM says no: code, words and status differ by service."""

from cloudknot.testing.iam.values import Ask, Decision, Principal
from cloudknot.testing.wire.values import WireRequest

__all__ = ["denial"]

_FORBIDDEN = 403
_BAD_REQUEST = 400
# Seen in aws/serverless-application-model#3633: SQS writes its actions in lower case.
_IN_LOWER_CASE = {"sqs"}
# Seen in DataDog/cloudformation-template#61.
_NO_TAGS_OF_LOGS = (
    "User with accountId: {account} is not authorized to perform CreateLogGroup with Tags. "
    'An additional permission "logs:TagResource" is required.'
)
_ACCESS_DENIED = {"sqs", "s3", "iam", "sts", "cloudformation", "sns", "autoscaling"}


def denial(request: WireRequest, principal: Principal, ask: Ask, decision: Decision) -> tuple[int, str, str]:
    """Return status, code and message of a refusal.

    Parameters
    ----------
    request : WireRequest
        What is refused.
    principal : Principal
        Who asked.
    ask : Ask
        The permission that is missing.
    decision : Decision
        Why it is.
    """
    if ask.action == "logs:TagResource" and request.operation == "CreateLogGroup":
        return _BAD_REQUEST, "AccessDeniedException", _NO_TAGS_OF_LOGS.format(account=principal.account)
    if principal.kind == "anonymous":
        return _FORBIDDEN, "AccessDenied", "Access Denied"
    words = decision.words_for(principal, _as_worded(request.service, ask))
    if request.protocol == "ec2":
        return (
            _FORBIDDEN,
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {words}",
        )
    if request.protocol in ("query", "rest-xml") or request.service in _ACCESS_DENIED:
        return _FORBIDDEN, "AccessDenied", words
    if request.protocol == "rest-json":
        return _FORBIDDEN, "AccessDeniedException", words
    return _BAD_REQUEST, "AccessDeniedException", words


def _as_worded(service: str, ask: Ask) -> Ask:
    if service not in _IN_LOWER_CASE:
        return ask
    return Ask(action=ask.action.lower(), resource=ask.resource, context=ask.context)
