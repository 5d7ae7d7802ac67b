"""Run your own Python function over many inputs: on this machine, in containers, or on AWS Batch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cloudknot._version import __version__

if TYPE_CHECKING:
    from cloudknot.calls import CallFuture as CallFuture
    from cloudknot.docker_image import DockerImage as DockerImage
    from cloudknot.errors import AwsError as AwsError
    from cloudknot.errors import CallError as CallError
    from cloudknot.errors import CallLostError as CallLostError
    from cloudknot.errors import CallSkippedError as CallSkippedError
    from cloudknot.errors import CallTimeoutError as CallTimeoutError
    from cloudknot.errors import EngineError as EngineError
    from cloudknot.errors import ImageError as ImageError
    from cloudknot.errors import InputError as InputError
    from cloudknot.errors import KnotError as KnotError
    from cloudknot.errors import NotConfiguredError as NotConfiguredError
    from cloudknot.errors import NotPicklableError as NotPicklableError
    from cloudknot.errors import NotRebuiltError as NotRebuiltError
    from cloudknot.errors import RemoteTraceback as RemoteTraceback
    from cloudknot.errors import RunOwnedError as RunOwnedError
    from cloudknot.errors import StoreError as StoreError
    from cloudknot.errors import UnknownRunError as UnknownRunError
    from cloudknot.futures import MapFuture as MapFuture
    from cloudknot.knot import Knot as Knot
    from cloudknot.knot import attach as attach
    from cloudknot.pars import Pars as Pars
    from cloudknot.specs import Image as Image
    from cloudknot.specs import Retry as Retry

_ERRORS = (
    "NotConfiguredError",
    "AwsError",
    "CallError",
    "CallLostError",
    "CallSkippedError",
    "CallTimeoutError",
    "EngineError",
    "ImageError",
    "InputError",
    "KnotError",
    "NotPicklableError",
    "NotRebuiltError",
    "RemoteTraceback",
    "RunOwnedError",
    "StoreError",
    "UnknownRunError",
)
# Each public name and its module, which is loaded when the name is first used.
_HOMES = {
    **dict.fromkeys(_ERRORS, "errors"),
    "CallFuture": "calls",
    "DockerImage": "docker_image",
    "Image": "specs",
    "Knot": "knot",
    "MapFuture": "futures",
    "Pars": "pars",
    "Retry": "specs",
    "attach": "knot",
}

__all__ = [  # noqa: PLE0604  # computed from the table, so that it cannot differ from it
    "__version__",
    *sorted(_HOMES),
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudknot' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cloudknot.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
