"""One resource of a stack: made, changed, or removed; asked whether that may be, and told of."""

import random
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moto.core.utils import utcnow

from cloudknot.testing.iam import current
from cloudknot.testing.iam.names import known_in_moto
from cloudknot.testing.iam.policies import decide
from cloudknot.testing.iam.stack_actions import asks_of_resource
from cloudknot.testing.iam.stack_updates import asks_of_update
from cloudknot.testing.iam.values import Ask, Principal
from cloudknot.testing.stacks.calls import Unfit
from cloudknot.testing.stacks.kind import Kind, Made, Work
from cloudknot.testing.stacks.reasons import is_gone, reason_of
from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Resource, Source, Stack
from cloudknot.testing.stacks.wanting import Wanted, wanted_of

__all__ = ["Failed", "Maker"]


_ANOTHER = "Requested update requires the creation of a new physical resource; hence creating one."


class Failed(Exception):  # noqa: N818 - what has become of a resource, not a fault of the box
    """A resource could not be made, changed or removed; told as an event already."""

    def __init__(self, logical_id: str, verb: str, *, is_begun: bool) -> None:
        super().__init__(logical_id)
        self.logical_id = logical_id
        self.verb = verb
        self.is_begun = is_begun
        """Whether something of it may have been done."""


class Maker:
    """Makes, changes and removes the resources of one stack.

    Parameters
    ----------
    stack : Stack
        Whose they are.
    kinds : mapping of Kind
        The types that the box makes.
    who : Principal or None
        Whose permissions count; None where nobody asks.
    """

    def __init__(self, stack: Stack, kinds: Mapping[str, Kind], who: Principal | None) -> None:
        self._stack = stack
        self._kinds = kinds
        self._who = who

    def make(self, names: Names, source: Source, logical_id: str) -> Resource:
        """Make a resource of a template; raises Failed."""
        return self._make(self.wanted(names, source, logical_id))

    def replace(self, old: Resource, wanted: Wanted) -> Resource:
        """Make another resource, which shall take the place of one; raises Failed."""
        return self._make(wanted, old)

    def wanted(self, names: Names, source: Source, logical_id: str, old: Resource | None = None) -> Wanted:
        """Return a resource as the template wants it; raises Failed when that cannot be worked out."""
        try:
            return wanted_of(names, source, logical_id, self._kinds)
        except Refusal as refusal:
            kind = str(source.template["Resources"][logical_id]["Type"])
            resource = old or Resource(logical_id=logical_id, kind=kind, status="CREATE_IN_PROGRESS")
            raise self._failed(resource, "UPDATE" if old else "CREATE", refusal, is_begun=False) from refusal

    def _make(self, wanted: Wanted, old: Resource | None = None) -> Resource:
        kind = self._kinds[wanted.kind]
        name = str(wanted.properties.get(kind.name) or self._name_for(wanted.logical_id, kind))
        verb = "UPDATE" if old else "CREATE"
        resource = Resource(
            logical_id=wanted.logical_id,
            kind=wanted.kind,
            name=name,
            status=f"{verb}_IN_PROGRESS",
            reason=_ANOTHER if old else None,
            properties=wanted.properties,
            needs=wanted.needs,
            deletion=wanted.deletion,
            replacement=wanted.replacement,
        )
        self._stack.note(replace(resource, id=old.id if old else ""))
        is_begun = False
        try:
            _check(wanted, kind, replaced=old.name if old is not None and kind.name else None, name=name)
            self._permit(self._asks(wanted.kind, wanted.properties, "create", name))
            is_begun = True
            made = kind.make(self._work(name, wanted.properties))
        except Exception as error:
            raise self._failed(resource, verb, error, is_begun=is_begun) from error
        return self._settled(resource, made, f"{verb}_COMPLETE")

    def change(self, old: Resource, wanted: Wanted) -> Resource:
        """Change a resource in place; raises Failed."""
        kind = self._kinds[wanted.kind]
        resource = replace(
            old,
            status="UPDATE_IN_PROGRESS",
            reason=None,
            properties=wanted.properties,
            needs=wanted.needs,
            deletion=wanted.deletion,
            replacement=wanted.replacement,
        )
        self._stack.note(resource)
        is_begun = False
        try:
            _check(wanted, kind)
            work = self._work(old.name, wanted.properties, old)
            changed = {
                name
                for name in {*work.properties, *work.before}
                if work.properties.get(name) != work.before.get(name)
            }
            known = known_in_moto(*self._place)
            self._permit(
                asks_of_update(wanted.kind, work.properties, changed, *self._place, name=old.id, known=known)
            )
            is_begun = True
            made = (kind.change or kind.make)(work)
        except Exception as error:
            raise self._failed(resource, "UPDATE", error, is_begun=is_begun) from error
        return self._settled(resource, made, "UPDATE_COMPLETE")

    def remove(self, resource: Resource, *, is_kept: bool = False) -> Resource:
        """Remove a resource, or leave it where its policy says so; raises Failed."""
        if is_kept:
            skipped = replace(resource, status="DELETE_SKIPPED", reason=None, at=utcnow())
            self._stack.note(skipped)
            return skipped
        self._stack.note(replace(resource, status="DELETE_IN_PROGRESS", reason=None))
        try:
            properties = resource.properties
            self._permit(self._asks(resource.kind, properties, "delete", resource.id))
            self._kinds[resource.kind].remove(self._work(resource.name, properties, resource))
        except Exception as error:
            if not is_gone(error):
                raise self._failed(resource, "DELETE", error, is_begun=True) from error
        gone = replace(resource, status="DELETE_COMPLETE", reason=None, at=utcnow())
        self._stack.note(gone)
        return gone

    def is_anew(self, old: Resource, wanted: Wanted) -> bool:
        """Whether a change needs another resource in place of the one that is there."""
        kind = self._kinds[wanted.kind]
        work = self._work(old.name, wanted.properties, old)
        return (
            old.kind != wanted.kind
            or kind.change is None
            or work.is_changed(*kind.anew)
            or kind.is_anew(work)
        )

    @property
    def _place(self) -> tuple[str, str]:
        return self._stack.account_id, self._stack.region_name

    def _asks(self, kind: str, properties: Mapping[str, Any], verb: str, name: str) -> tuple[Ask, ...]:
        known = known_in_moto(*self._place)
        return asks_of_resource(kind, properties, verb, *self._place, name=name, known=known)

    def _work(self, name: str, properties: Mapping[str, Any], old: Resource | None = None) -> Work:
        account, region = self._place
        work = Work(account=account, region=region, name=name, properties=properties)
        if old is None:
            return work
        return replace(work, id=old.id, attributes=old.attributes, before=old.properties)

    def _name_for(self, logical_id: str, kind: Kind) -> str:
        ending = "".join(random.choices(string.ascii_letters + string.digits, k=12))
        room = kind.longest_name - len(ending) - 2
        name = f"{self._stack.name[: max(room - len(logical_id), 1)]}-{logical_id[: room - 1]}-{ending}"
        return name.lower() if kind.is_lower else name

    def _permit(self, asks: tuple[Ask, ...]) -> None:
        if self._who is None:
            return
        for ask in asks:
            current.note(ask)
            decision = decide(self._who, ask)
            if not decision.is_allowed:
                raise PermissionError(decision.words_for(self._who, ask))

    def _settled(self, resource: Resource, made: Made, status: str) -> Resource:
        settled = replace(
            resource, id=made.id, attributes=made.attributes, status=status, reason=None, at=utcnow()
        )
        self._stack.note(settled)
        return settled

    def _failed(self, resource: Resource, verb: str, error: Exception, *, is_begun: bool) -> Failed:
        reason = reason_of(error, resource.logical_id)
        failed = replace(resource, status=f"{verb}_FAILED", reason=reason, at=utcnow())
        self._stack.note(failed)
        if verb == "CREATE":
            self._stack.past[resource.logical_id] = failed
        elif verb == "DELETE" and self._is_there(resource):
            self._stack.resources[resource.logical_id] = failed
        return Failed(resource.logical_id, verb, is_begun=is_begun)

    def _is_there(self, resource: Resource) -> bool:
        """Whether it is this one that the stack has, not another in its place."""
        there = self._stack.resources.get(resource.logical_id)
        return there is not None and there.id == resource.id


def _check(wanted: Wanted, kind: Kind, *, name: str = "", replaced: str | None = None) -> None:
    if unknown := sorted(set(wanted.properties) - kind.properties):
        raise Unfit(
            f"#: extraneous key [{', '.join(unknown)}] is not permitted "
            f"(of {wanted.kind}, the box knows {', '.join(sorted(kind.properties))})"
        )
    if missing := sorted(kind.required - set(wanted.properties)):
        raise Unfit(f"#: required key [{', '.join(missing)}] not found")
    if name == replaced:
        raise ValueError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {name} and update the stack again."
        )
