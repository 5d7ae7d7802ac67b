"""What a stack tells of itself: its outputs, and those that other stacks may import."""

from typing import Any

from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.parsing import Export

from cloudknot.testing.stacks.intrinsics import resolve
from cloudknot.testing.stacks.refusals import Refusal
from cloudknot.testing.stacks.scope import Names
from cloudknot.testing.stacks.stack import Source, Stack

__all__ = ["NotExported", "export_in_use", "publish", "withdraw"]


class NotExported(Exception):  # noqa: N818 - what has become of a stack
    """An output cannot be worked out, or its name is another stack's export."""


def publish(stack: Stack, source: Source) -> None:
    """Work out a stack's outputs, and let other stacks import those that are exported.

    Raises
    ------
    NotExported
        When one cannot be worked out, has a name that is taken, or is gone while it is imported.
    """
    names = Names(stack, source, stack.resources)
    try:
        outputs = _outputs(source, names)
    except Refusal as refusal:
        raise NotExported(str(refusal.message)) from refusal
    exports = _exports(stack)
    named = {output["ExportName"]: output["OutputValue"] for output in outputs if "ExportName" in output}
    for name in named:
        if name in exports and exports[name].exporting_stack_id != stack.stack_id:
            other = exports[name].exporting_stack_id.split("/")[1]
            # The words are not confirmed.
            raise NotExported(f"Export with name {name} is already exported by stack {other}.")
    for name in _own(stack):
        if exports[name].value != named.get(name) and (who := _importers(stack, name)):
            # As in rlister/stax#40 of one that is deleted; of one that is updated not confirmed.
            verb = "updated" if name in named else "deleted"
            raise NotExported(f"Export {name} cannot be {verb} as it is in use by {who}")
    withdraw(stack)
    for name, value in named.items():
        exports[name] = Export(stack.stack_id, name, value)
    stack.outputs = outputs or None


def _outputs(source: Source, names: Names) -> list[dict[str, Any]]:
    found = []
    for key, written in source.template["Outputs"].items():
        if "Condition" in written and not names.condition(written["Condition"]):
            continue
        output = {"OutputKey": key, "OutputValue": str(resolve(written["Value"], names))}
        if "Description" in written:
            output["Description"] = written["Description"]
        if "Export" in written:
            output["ExportName"] = str(resolve(written["Export"]["Name"], names))
        found.append(output)
    return found


def withdraw(stack: Stack) -> None:
    """Export nothing more."""
    for name in _own(stack):
        del _exports(stack)[name]


def export_in_use(stack: Stack) -> str:
    """Return which export of a stack is in use by which others, in CloudFormation's words; empty for none."""
    for name in _own(stack):
        if who := _importers(stack, name):
            return f"{name} as it is in use by {who}"
    return ""


def _importers(stack: Stack, name: str) -> str:
    stacks = cloudformation_backends[stack.account_id][stack.region_name].stacks.values()
    names = [str(other.name) for other in stacks if name in getattr(other, "imports", ())]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _own(stack: Stack) -> list[str]:
    exports = _exports(stack).items()
    return [name for name, export in exports if export.exporting_stack_id == stack.stack_id]


def _exports(stack: Stack) -> Any:
    return cloudformation_backends[stack.account_id][stack.region_name].exports
