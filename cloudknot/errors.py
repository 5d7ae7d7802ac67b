"""The exception tree.

::

    KnotError
    ├── InputError (ValueError)      what was asked cannot be started; nothing was
    ├── UnknownRunError (KeyError)   no run of that id is known here
    ├── RunOwnedError                a living process has the run already
    ├── StoreError                   the ledger could not be read or written
    ├── EngineError                  no docker engine answers, or it may not be used
    ├── ImageError                   the image could not be made
    ├── AwsError                     AWS refused, or could not be reached
    │   └── NotConfiguredError       there is nothing on AWS yet to run on
    └── CallError                    one item's own failure, where it is not the function's exception
        ├── CallLostError            the process that ran the item was killed
        ├── CallSkippedError         the map had stopped before the item ran
        ├── CallTimeoutError (TimeoutError)
        ├── NotPicklableError        the value or exception could not leave the worker
        └── NotRebuiltError          the value or exception could not be rebuilt here

    RemoteTraceback                  the cause of an exception that a function raised elsewhere
"""

from __future__ import annotations


class KnotError(Exception):
    """Root of all errors that cloudknot itself raises."""


class InputError(KnotError, ValueError):
    """What was asked cannot be started. Nothing was started and nothing was lost."""


class UnknownRunError(KnotError, KeyError):
    """No run of that id is known to this machine."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        return str(self.args[0])


class RunOwnedError(KnotError):
    """A living process runs this run already, so a second one must not."""


class StoreError(KnotError):
    """The ledger could not be read or written."""


class EngineError(KnotError):
    """No docker engine answers, or it may not be used, or it failed."""


class ImageError(KnotError):
    """The image could not be made. Nothing half-made is left."""


class AwsError(KnotError):
    """AWS refused, or could not be reached.

    Parameters
    ----------
    message : str
        What was asked, and AWS's own words.
    code : str
        AWS's name of the error, such as ``"AccessDeniedException"``.
    is_throttle : bool
        Whether requests came too fast: nothing was done, and a later one may do.
    is_unsure : bool
        Whether it may have been done all the same: the answer is missing, or AWS failed.
    """

    def __init__(
        self, message: str, *, code: str = "", is_throttle: bool = False, is_unsure: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_throttle = is_throttle
        self.is_unsure = is_unsure


class NotConfiguredError(AwsError):
    """There is nothing on AWS yet to run on: ``cloudknot configure`` makes it."""


class CallError(KnotError):
    """One item failed, in another way than by the function's own exception."""


class CallLostError(CallError):
    """The process that ran the item was killed, or ended by itself, before the item was done."""


class CallSkippedError(CallError):
    """The map was stopped by its ``on_error`` rule before this item ran."""


class CallTimeoutError(CallError, TimeoutError):
    """The item ran longer than ``timeout_s`` and was killed."""


class NotPicklableError(CallError):
    """The item's value or exception cannot be pickled, so it could not leave the worker."""


class NotRebuiltError(CallError):
    """The item's value or exception arrived, but could not be rebuilt in this process."""


class RemoteTraceback(Exception):  # noqa: N818  # it is no error, but where one came from
    """The traceback of the process where the function ran, as the cause of its exception here.

    Parameters
    ----------
    text : str
        The formatted traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'
