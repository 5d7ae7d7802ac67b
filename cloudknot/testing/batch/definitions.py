"""Job definitions: their revisions, and how they are found again."""

import re
from collections.abc import Mapping
from typing import Any

from cloudknot.testing.batch.containers import with_defaults
from cloudknot.testing.batch.definition_rules import check_definition
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import check_name
from cloudknot.testing.batch.paging import page
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.refusals import refusal
from cloudknot.testing.batch.values import JobDefinition

__all__ = ["Definitions"]

_KIND = "job-definition"
_DESCRIBED = 100
# An ARN, a name, or a name with a revision.
_REFERENCE = re.compile(
    r"(?:arn:[\w-]+:batch:[\w-]*:\d*:job-definition/)?(?P<name>[A-Za-z0-9_-]{1,128})(?::(?P<revision>\d+))?"
)
# What is only kept to be shown again.
_KEPT = ("schedulingPriority", "propagateTags", "timeout")


class Definitions:
    """All revisions of all job definitions of a place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._revisions: dict[str, list[JobDefinition]] = {}

    def register(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make the next revision (RegisterJobDefinition)."""
        name = params["jobDefinitionName"]
        check_name(name)
        check_definition(params)
        revisions = self._revisions.setdefault(name, [])
        revision = len(revisions) + 1
        made = JobDefinition(
            name=name,
            revision=revision,
            arn=self._place.arn(_KIND, f"{name}:{revision}"),
            created_at=self._place.clock.now(),
            kind=params["type"],
            container=dict(params["containerProperties"]),
            parameters=dict(params.get("parameters", {})),
            retry=dict(params.get("retryStrategy", {})),
            timeout_s=params.get("timeout", {}).get("attemptDurationSeconds"),
            platforms=list(params.get("platformCapabilities") or ["EC2"]),
            scheduling_priority=params.get("schedulingPriority"),
            propagate_tags=params.get("propagateTags", False),
            tags=dict(params.get("tags", {})),
            request=dict(params),
        )
        revisions.append(made)
        self._place.note_made(made.arn)
        return {"jobDefinitionName": name, "jobDefinitionArn": made.arn, "revision": revision}

    def deregister(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make a revision INACTIVE; those that run of it go on (DeregisterJobDefinition)."""
        reference = params["jobDefinition"]
        name, revision = _read(reference)
        if revision is None:
            # The words are not confirmed; the model asks for a name with a revision, or an ARN.
            raise refusal(f"JobDefinition {reference} must have a revision")
        made = self._at(name, revision)
        # AWS answers the same where there is nothing to deregister: not confirmed.
        if made:
            made.status = "INACTIVE"
        return {}

    def find(self, reference: str) -> JobDefinition:
        """Return the revision that is meant, which is ACTIVE; one that was just made may not be known yet."""
        name, revision = _read(reference)
        known = self._place.seen(reversed(self._revisions.get(name, ())))
        if revision is None:
            found = next((made for made in known if made.status == "ACTIVE"), None)
        else:
            found = next((made for made in known if made.revision == revision), None)
            if found is None and reference.startswith("arn:"):
                raise ClientException(f"JobDefinition {reference} not found.")
        if found is None or found.status != "ACTIVE":
            raise ClientException(f"JobDefinition name {reference} does not exist or is not in ACTIVE status")
        return found

    def by_arn(self, arn: str) -> JobDefinition | None:
        """Return the revision of this ARN, if there is one."""
        return next((made for made in self._all() if made.arn == arn), None)

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show the revisions that are asked for (DescribeJobDefinitions)."""
        references = params.get("jobDefinitions")
        if references and len(references) > _DESCRIBED:
            # The words are not confirmed.
            raise refusal(f"Maximum number of job definitions supported is {_DESCRIBED}.")
        made = [one for one in self._all() if _is_meant(one, params)]
        shown, rest = page(self._place.seen(made), params)
        return {"jobDefinitions": [_show(one) for one in shown], **rest}

    def active(self) -> list[JobDefinition]:
        """Return all revisions that are ACTIVE."""
        return [made for made in self._all() if made.status == "ACTIVE"]

    def _all(self) -> list[JobDefinition]:
        return [made for revisions in self._revisions.values() for made in reversed(revisions)]

    def _at(self, name: str, revision: int) -> JobDefinition | None:
        revisions = self._revisions.get(name, [])
        return revisions[revision - 1] if 1 <= revision <= len(revisions) else None


def _read(reference: str) -> tuple[str, int | None]:
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise ClientException(f"Provided name {reference} is not supported pattern[a-zA-Z_0-9-]{{1,128}}")
    return match["name"], int(match["revision"]) if match["revision"] else None


def _is_meant(made: JobDefinition, params: Mapping[str, Any]) -> bool:
    references = params.get("jobDefinitions")
    if references:
        return made.arn in references or f"{made.name}:{made.revision}" in references
    if params.get("jobDefinitionName", made.name) != made.name:
        return False
    return bool(params.get("status", made.status) == made.status)


def _show(made: JobDefinition) -> dict[str, Any]:
    container = with_defaults(made.container)
    if "FARGATE" in made.platforms:
        container.setdefault("fargatePlatformConfiguration", {"platformVersion": "LATEST"})
    return {
        "jobDefinitionName": made.name,
        "jobDefinitionArn": made.arn,
        "revision": made.revision,
        "status": made.status,
        "type": made.kind,
        "parameters": made.parameters,
        "containerProperties": container,
        "tags": dict(made.tags),
        "platformCapabilities": made.platforms,
        "containerOrchestrationType": "ECS",
        **({"retryStrategy": {"evaluateOnExit": [], **made.retry}} if made.retry else {}),
        **{name: made.request[name] for name in _KEPT if name in made.request},
    }
