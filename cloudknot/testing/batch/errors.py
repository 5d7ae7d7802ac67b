"""What AWS Batch answers when it refuses."""

__all__ = ["BatchError", "ClientException", "ServerException"]


class BatchError(Exception):
    """A refusal, with AWS's words."""

    code = "ClientException"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ClientException(BatchError):  # noqa: N818 - the name that AWS gives it
    """The request is at fault."""


class ServerException(BatchError):  # noqa: N818 - the name that AWS gives it
    """The service is at fault."""

    code = "ServerException"
    status = 500
