"""What a run that was killed had begun to make, and the state never learned of."""

from lab.engine.deploy.operation import Operation
from lab.engine.deploy.views import seen_by
from lab.engine.provider import ProviderError
from lab.engine.state.model import PendingOperation

__all__ = ["discard_interrupted"]


async def discard_interrupted(operation: Operation) -> None:
    """Remove what was being created, where its provider can find it by name and label.

    Pulumi leaves that to people. Nothing depends on such a resource, as it never was in the state; if it is
    still wanted, it is made anew.
    """
    known = {record.urn for record in operation.journal.base()}
    for left in operation.journal.interrupted_creates():
        if left.resource.urn not in known:
            await _discard(operation, left)
    await operation.journal.save()


async def _discard(operation: Operation, left: PendingOperation) -> None:
    resource = left.resource
    try:
        provider = await operation.providers.of(resource)
        if provider is None:
            return
        found = await provider.discard(resource.type, seen_by(provider, resource.inputs))
    except ProviderError as error:
        operation.events.diagnostic("warning", str(error), resource.urn)
        return
    if found is not None:
        operation.journal.settle(left)
    if found:
        message = "removed this resource: an interrupted run had begun to create it"
        operation.events.diagnostic("warning", message, resource.urn)
