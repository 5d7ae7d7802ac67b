"""A stack created: its resources made in their order, and removed again when one fails."""

from cloudknot.testing.stacks.deleting import delete, remove_all
from cloudknot.testing.stacks.exports import NotExported, publish
from cloudknot.testing.stacks.making import Failed, Maker
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Source, Stack

__all__ = ["create"]


def create(stack: Stack, source: Source, maker: Maker, *, on_failure: str = "ROLLBACK") -> None:
    """Make all that a template says.

    Parameters
    ----------
    stack : Stack
        Which.
    source : Source
        What it shall be.
    maker : Maker
        Makes.
    on_failure : str
        `ROLLBACK`, `DELETE` or `DO_NOTHING`.
    """
    stack.source = source
    stack.become("CREATE_IN_PROGRESS", "User Initiated")
    names = Names(stack, source, stack.resources)
    try:
        for logical_id in source.template.order:
            if names.is_wanted(logical_id):
                stack.resources[logical_id] = maker.make(names, source, logical_id)
        stack.imports = frozenset(names.imports)
        publish(stack, source)
    except Failed as failed:
        _undo(stack, maker, f"The following resource(s) failed to create: [{failed}]. ", on_failure)
    except NotExported as problem:
        _undo(stack, maker, f"{problem} ", on_failure)
    else:
        stack.become("CREATE_COMPLETE")


def _undo(stack: Stack, maker: Maker, reason: str, on_failure: str) -> None:
    stack.imports = frozenset()
    if on_failure == "DO_NOTHING":
        stack.become("CREATE_FAILED", reason)
        return
    if on_failure == "DELETE":
        delete(stack, maker, is_undone=True, reason=f"{reason}Delete requested by user.")
        return
    stack.become("ROLLBACK_IN_PROGRESS", f"{reason}Rollback requested by user.")
    if failed := remove_all(stack, maker, list(stack.resources.values()), is_undone=True):
        stack.become(
            "ROLLBACK_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
        )
    else:
        stack.become("ROLLBACK_COMPLETE")
