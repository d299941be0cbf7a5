"""What the table of files holds of people and organisations, and the objects it stands for."""

from collections.abc import Mapping
from typing import Any

import structlog

from shared.graph.errors import GraphError
from shared.privacy.erasure import AUDIT, Delete, Holding, Holdings, Rewrite, pseudonym_for
from storage import queries

log = structlog.get_logger(__name__)
_OWN = "org_id = :org_id AND owner_id = :user_id"


async def delete_objects(row: Any, provided: Mapping[str, Any]) -> None:
    """The parts in the store, and the copy in SharePoint; one that cannot be reached is named in the log and stays.

    Whoever erases an organisation has disconnected its tenant before, and with it the way to its SharePoint.
    """
    if row.drive_id is not None:
        try:
            await provided["deliveries"].delete(row)
        except GraphError as error:
            about = {"org_id": row.org_id, "file_id": row.id, "drive_id": row.drive_id, "item_id": row.item_id}
            log.warning("file.copy_left_in_sharepoint", **about, error=type(error).__name__)
    await provided["parts"].tidy(row.org_id, row.id, None)


async def delete_strays(org_id: str, provided: Mapping[str, Any]) -> int:
    """Objects that no row names any more: parts of writers that died."""
    found: int = await provided["parts"].delete_organisation(org_id)
    return found


async def describe_content(row: Mapping[str, Any], provided: Mapping[str, Any]) -> Mapping[str, Any]:
    about = {"org_id": row["of_organisation"], "id": row["of_id"]}
    async with provided["db"].unit_of_work(row["of_organisation"]) as work:
        file = (await work.session.execute(queries.PARTS, about)).first()
    whole = file is not None and file.completed_at is not None and file.item_id is None
    return {"sha256": await provided["parts"].sha256(file) if whole else None}


HOLDINGS = Holdings(
    tables=(
        Holding(
            "stored_file",
            person=Delete(_OWN),
            exported={
                "name": "path",
                "called": "file_name",
                "called in SharePoint": "item_name",
                "kind": "content_type",
                "bytes": "size_bytes",
                "begun": "created_at",
                "complete": "completed_at",
            },
            described=describe_content,
            keeps="Copies in SharePoint that Prospo cannot reach stay there: the log names each as "
            "file.copy_left_in_sharepoint. Delete them there.",
            closing="token_hash = NULL",  # nobody uploads to it from now on
            elsewhere=delete_objects,
            of_organisation={"person": "owner_id"},
            withheld="id dedupe_key received_bytes parts in_parts token_hash touched_at drive_id folder_id upload "
            "upload_step item_id",
        ),
        Holding(
            "location",
            of_organisation={"files go to": "name", "address": "web_url", "state": "state", "chosen": "chosen_at"},
            person=Rewrite("org_id = :org_id AND chosen_by = :user_id", f"chosen_by = {pseudonym_for('chosen_by')}"),
            keeps="The organisation's place for files, without who chose it.",
            exported={"chose the place": "name", "at": "chosen_at"},
            exported_where="org_id = :org_id AND chosen_by = :user_id",
            withheld="version tid site_id drive_id folder_id site_url nearly_full state_since looked_at chosen_by",
        ),
        AUDIT,
    ),
    jobs=f"payload ->> 'file_id' IN (SELECT id FROM stored_file WHERE {_OWN})",
    sweep=delete_strays,
    audit_path="/v1/files/audit",
)
