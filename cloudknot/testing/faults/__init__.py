"""What shall go wrong, on demand and by a seed.

A fault is a value, such as ``Throttle(service="batch", operation="Describe*", share=0.3)``. `Faults` holds
those that are in force and decides by its seed when they strike.
"""

from cloudknot.testing.faults.batch_faults import (
    DuplicateEvents,
    LaunchFailure,
    PullFailure,
    SpotReclaim,
    Stale,
)
from cloudknot.testing.faults.fault import Fault
from cloudknot.testing.faults.kinds import from_json, to_json
from cloudknot.testing.faults.rules import Faults, Rule
from cloudknot.testing.faults.wire_faults import (
    ResetConnection,
    ServerError,
    SlowConnection,
    Throttle,
    TruncateAnswer,
    WireFault,
)

__all__ = [
    "DuplicateEvents",
    "Fault",
    "Faults",
    "LaunchFailure",
    "PullFailure",
    "ResetConnection",
    "Rule",
    "ServerError",
    "SlowConnection",
    "SpotReclaim",
    "Stale",
    "Throttle",
    "TruncateAnswer",
    "WireFault",
    "from_json",
    "to_json",
]
