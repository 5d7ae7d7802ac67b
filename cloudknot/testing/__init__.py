"""AWS Batch in a box: find out on this machine what a run does when things go wrong.

``python -m cloudknot.testing up`` starts a box, and the fixture `aws_box` of
`cloudknot.testing.pytest_plugin` gives a fresh one to each test. What a box does and does not do is told in
``docs/testing.md``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudknot.testing.box import Box as Box
    from cloudknot.testing.box import Host as Host
    from cloudknot.testing.box import Struck as Struck
    from cloudknot.testing.calls import Call as Call
    from cloudknot.testing.errors import BoxError as BoxError
    from cloudknot.testing.launch import down as down
    from cloudknot.testing.launch import find as find
    from cloudknot.testing.launch import up as up

_HOMES = {
    "Box": "box",
    "BoxError": "errors",
    "Call": "calls",
    "Host": "box",
    "Struck": "box",
    "down": "launch",
    "find": "launch",
    "up": "launch",
}

__all__ = ["Box", "BoxError", "Call", "Host", "Struck", "down", "faults", "find", "up"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
