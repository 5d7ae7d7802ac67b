"""What CloudFormation says when it does not even begin."""

from moto.cloudformation.exceptions import CloudFormationError

__all__ = ["AlreadyExists", "ChangeSetNotFound", "InvalidChangeSetStatus", "NeedsCapabilities", "Refusal"]


class Refusal(CloudFormationError):  # noqa: N818 - AWS's own name
    """ValidationError: the request or its template is wrong."""

    code = "ValidationError"


class AlreadyExists(CloudFormationError):  # noqa: N818 - AWS's own name
    """There is one of that name."""

    code = "AlreadyExistsException"


class NeedsCapabilities(CloudFormationError):  # noqa: N818 - AWS's own name
    """The template makes identities, and the request does not say that it may."""

    code = "InsufficientCapabilitiesException"


class ChangeSetNotFound(CloudFormationError):  # noqa: N818 - AWS's own name
    """There is no change set of that name."""

    code = "ChangeSetNotFound"


class InvalidChangeSetStatus(CloudFormationError):  # noqa: N818 - AWS's own name
    """A change set that cannot be executed, or not any more."""

    code = "InvalidChangeSetStatus"
