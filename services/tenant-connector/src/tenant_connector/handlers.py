"""Everything the tenant-connector reacts to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events import StorageLocationSelected
from shared.handlers import Handlers
from tenant_connector import queries, tenant

on = Handlers()


@on(StorageLocationSelected)
async def remember_location(event: StorageLocationSelected, *, session: AsyncSession) -> None:
    """From now on SharePoint storage may be switched on."""
    row = await queries.tenant_for_change(session, event.org_id)
    tenant.keep_location(row, event.location, event.aggregate_version)
