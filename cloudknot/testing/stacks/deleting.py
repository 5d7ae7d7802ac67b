"""A stack deleted: each resource before those that it needs."""

from collections.abc import Collection

from moto.core.utils import utcnow

from cloudknot.testing.stacks.exports import withdraw
from cloudknot.testing.stacks.making import Failed, Maker
from cloudknot.testing.stacks.stack import Resource, Stack

__all__ = ["delete", "remove_all"]


def delete(
    stack: Stack,
    maker: Maker,
    *,
    kept: Collection[str] = (),
    is_undone: bool = False,
    reason: str = "User Initiated",
) -> None:
    """Remove all that a stack has.

    What cannot be removed stays, and so does the stack: `DELETE_FAILED`, with the resources' names.

    Parameters
    ----------
    stack : Stack
        Which.
    maker : Maker
        Removes.
    kept : collection of str
        Resources to leave alone (`RetainResources`).
    is_undone : bool
        Whether the stack was not made to its end.
    reason : str
        Why it begins.
    """
    stack.become("DELETE_IN_PROGRESS", reason)
    failed = remove_all(stack, maker, list(stack.resources.values()), kept=kept, is_undone=is_undone)
    if failed:
        stack.become("DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. ")
        return
    withdraw(stack)
    stack.imports = frozenset()
    stack.deletion_time = utcnow()
    stack.become("DELETE_COMPLETE")


def remove_all(
    stack: Stack,
    maker: Maker,
    resources: Collection[Resource],
    *,
    kept: Collection[str] = (),
    is_undone: bool = False,
) -> list[str]:
    """Remove resources, each before those that it needs; return the names of those that failed.

    What such a one needs is not tried. The stack forgets those that are gone. What is `RetainExceptOnCreate`
    goes where its making is undone (user guide, "DeletionPolicy attribute").
    """
    policies = ("Retain",) if is_undone else ("Retain", "RetainExceptOnCreate")
    waiting = {resource.logical_id: resource for resource in resources}
    failed: list[str] = []
    while waiting:
        needed = {need for resource in waiting.values() for need in resource.needs}
        free = [name for name in reversed(waiting) if name not in needed]
        if not free:  # all that is left is needed by something that failed
            break
        resource = waiting[free[0]]
        is_kept = resource.deletion in policies or resource.logical_id in kept
        try:
            gone = maker.remove(resource, is_kept=is_kept)
        except Failed:
            failed.append(resource.logical_id)
            _hold(waiting, resource)
            continue
        del waiting[resource.logical_id]
        stack.past[resource.logical_id] = gone
        stack.resources.pop(resource.logical_id, None)
    return failed


def _hold(waiting: dict[str, Resource], failed: Resource) -> None:
    """Leave out one that failed, and all that it needs."""
    names = [failed.logical_id]
    while names:
        resource = waiting.pop(names.pop(), None)
        if resource is not None:
            names.extend(resource.needs)
