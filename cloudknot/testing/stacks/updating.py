"""A stack changed: what is new first, then the changes, and what is gone last; and back when one fails."""

from dataclasses import dataclass, replace

from moto.core.utils import utcnow

from cloudknot.testing.stacks.deleting import remove_all
from cloudknot.testing.stacks.exports import NotExported, publish
from cloudknot.testing.stacks.making import Failed, Maker
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Resource, Source, Stack
from cloudknot.testing.stacks.wanting import Wanted

__all__ = ["update"]


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What an update has done to one resource."""

    old: Resource | None
    new: Resource
    is_another: bool = False
    """Whether the new one is another thing than the old one, which is still there."""


def update(stack: Stack, source: Source, maker: Maker, *, has_rollback: bool = True) -> None:
    """Make a stack what a template says.

    Parameters
    ----------
    stack : Stack
        Which.
    source : Source
        What it shall be.
    maker : Maker
        Makes, changes and removes.
    has_rollback : bool
        Whether a failure is undone.
    """
    stack.last_updated_time, stack.past = utcnow(), {}
    stack.become("UPDATE_IN_PROGRESS", "User Initiated")
    names, steps = Names(stack, source, stack.resources), list[_Step]()
    wanted = [name for name in source.template.order if names.is_wanted(name)]
    try:
        for logical_id in wanted:
            _step(stack, names, source, logical_id, maker, steps)
        publish(stack, source)
    except Failed as failed:
        reason = f"The following resource(s) failed to {failed.verb.lower()}: [{failed}]. "
    except NotExported as problem:
        reason = f"{problem} "
    else:
        stack.source, stack.imports = source, frozenset(names.imports)
        stack.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        gone = [stack.resources.pop(name) for name in list(stack.resources) if name not in wanted]
        replaced = [
            replace(step.old, deletion=step.old.replacement) for step in steps if step.old and step.is_another
        ]
        _clean_up(stack, maker, [*gone, *replaced])
        stack.become("UPDATE_COMPLETE")
        return
    if has_rollback:
        _go_back(stack, maker, steps, reason)
    else:
        stack.source = source
        stack.become("UPDATE_FAILED", reason)


def _step(
    stack: Stack, names: Names, source: Source, logical_id: str, maker: Maker, steps: list[_Step]
) -> None:
    old = stack.resources.get(logical_id)
    if old is None:
        new = maker.make(names, source, logical_id)
        steps.append(_Step(old=None, new=new))
    else:
        wanted = maker.wanted(names, source, logical_id, old)
        if wanted.kind == old.kind and wanted.properties == old.properties:
            new = _described(old, wanted)
        elif maker.is_anew(old, wanted):
            new = maker.replace(old, wanted)
            steps.append(_Step(old=old, new=new, is_another=True))
        else:
            new = _changed(maker, old, wanted, steps)
    stack.resources[logical_id] = new


def _changed(maker: Maker, old: Resource, wanted: Wanted, steps: list[_Step]) -> Resource:
    try:
        new = maker.change(old, wanted)
    except Failed as failed:
        if failed.is_begun:  # half of it may be done
            steps.append(_Step(old=old, new=replace(old, properties=wanted.properties)))
        raise
    steps.append(_Step(old=old, new=new))
    return new


def _described(old: Resource, wanted: Wanted) -> Resource:
    """Return a resource that stays as it is, with the policies that the template gives it now."""
    return replace(
        old, needs=wanted.needs, deletion=wanted.deletion, replacement=wanted.replacement, reason=None
    )


def _go_back(stack: Stack, maker: Maker, steps: list[_Step], reason: str) -> None:
    """Bring back what was there, and remove what is too much then."""
    stack.become("UPDATE_ROLLBACK_IN_PROGRESS", reason)
    failed: list[str] = []
    superfluous: list[Resource] = []
    for step in reversed(steps):
        if step.old is None:
            superfluous.append(step.new)
            stack.resources.pop(step.new.logical_id, None)
        elif step.is_another:
            superfluous.append(step.new)
            stack.resources[step.old.logical_id] = step.old
        else:
            try:
                stack.resources[step.old.logical_id] = maker.change(step.new, _as_wanted(step.old))
            except Failed:
                failed.append(step.old.logical_id)
    if failed:
        words = f"The following resource(s) failed to update: [{', '.join(failed)}]. "
        stack.become("UPDATE_ROLLBACK_FAILED", words)
        return
    stack.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    _clean_up(stack, maker, superfluous, is_undone=True)
    stack.become("UPDATE_ROLLBACK_COMPLETE")


def _as_wanted(resource: Resource) -> Wanted:
    return Wanted(
        logical_id=resource.logical_id,
        kind=resource.kind,
        properties=resource.properties,
        needs=resource.needs,
        deletion=resource.deletion,
        replacement=resource.replacement,
    )


def _clean_up(stack: Stack, maker: Maker, resources: list[Resource], *, is_undone: bool = False) -> None:
    """Remove what is not needed any more. What cannot be is told, and left, as AWS leaves it."""
    kept, past = dict(stack.resources), dict(stack.past)
    remove_all(stack, maker, resources, is_undone=is_undone)
    stack.resources, stack.past = kept, past
