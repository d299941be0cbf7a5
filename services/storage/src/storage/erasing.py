"""What the table of files holds of people and organisations, and the objects it stands for."""

from collections.abc import Mapping
from typing import Any

import structlog

from shared.graph.errors import GraphError
from shared.privacy.erasure import AUDIT, Delete, Holding, Holdings, Rewrite, pseudonym_for
from storage import deleting, moving, queries
from storage.deliveries import folder_of

log = structlog.get_logger(__name__)
_OWN = "org_id = :org_id AND owner_id = :user_id"


async def delete_objects(row: Any, provided: Mapping[str, Any]) -> None:
    """The parts in the store, and the copy in SharePoint; one that cannot be reached is named in the log, and
    listed by its ids for an Org Admin until a job has deleted it.

    Whoever erases an organisation has disconnected its tenant before, and with it the way to its SharePoint.
    """
    deliveries, parts = provided["deliveries"], provided["parts"]
    await moving.stop(deliveries, parts, row)
    if row.drive_id is not None:
        try:
            await deliveries.delete(row)
        except GraphError as error:
            about = {"org_id": row.org_id, "file_id": row.id, "drive_id": row.drive_id, "item_id": row.item_id}
            log.warning("file.copy_left_in_sharepoint", **about, error=type(error).__name__)
            if row.item_id is not None:
                async with provided["db"].unit_of_work(row.org_id) as work:
                    await deleting.leave_copy(work, row.id, folder_of(row), row.item_id)
    await parts.remove(await parts.listed(row.org_id, row.id))


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


_OF_OWN = "org_id = :org_id AND {0} IN (SELECT id FROM stored_file WHERE org_id = :org_id AND owner_id = :user_id)"
HOLDINGS = Holdings(
    tables=(
        Holding(
            "file_link",
            person=Delete(f"(org_id = :org_id AND made_by = :user_id) OR ({_OF_OWN.format('file_id')})"),
            exported={"link made": "made_at", "until": "expires_at", "revoked": "revoked_at", "opened": "opened"},
            exported_where="org_id = :org_id AND made_by = :user_id",
            of_organisation={"made by": "made_by"},
            withheld="id file_id",
        ),
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
                "shared": "shared",
                "hash": "sha256",
            },
            described=describe_content,
            keeps="Copies in SharePoint that Prospo cannot reach stay there: the log names each as "
            "file.copy_left_in_sharepoint. Delete them there.",
            closing="token_hash = NULL",  # nobody uploads to it from now on
            elsewhere=delete_objects,
            of_organisation={"person": "owner_id"},
            withheld="id dedupe_key received_bytes parts in_parts token_hash touched_at drive_id folder_id upload "
            "upload_step item_id quick_xor wanted_sha256 by_person checking problem",
        ),
        Holding(  # behind its file, which goes first: that asks for what was sent so far to be deleted
            "file_move",
            withheld="file_id why drive_id folder_id upload step hashed moved_bytes parts tries says failed "
            "not_before queued_at",
        ),
        Holding(
            "location",
            of_organisation={"files go to": "name", "address": "web_url", "state": "state", "chosen": "chosen_at"},
            person=Rewrite("org_id = :org_id AND chosen_by = :user_id", f"chosen_by = {pseudonym_for('chosen_by')}"),
            keeps="The organisation's place for files, without who chose it.",
            exported={"chose the place": "name", "at": "chosen_at"},
            exported_where="org_id = :org_id AND chosen_by = :user_id",
            withheld="version tid site_id drive_id folder_id site_url nearly_full state_since looked_at chosen_by told",
        ),
        Holding(
            "migration",
            person=Rewrite("org_id = :org_id AND started_by = :user_id", f"started_by = {pseudonym_for('started_by')}"),
            keeps="How the organisation's files were moved, without who began it.",
            exported={"moved files to": "name", "began": "started_at", "ended": "ended_at"},
            exported_where="org_id = :org_id AND started_by = :user_id",
            of_organisation={"state": "state", "files": "moved_files"},
            withheld="drive_id folder_id files bytes moved_bytes started_by",
        ),
        Holding(
            "file_policy",
            person=Rewrite("org_id = :org_id AND changed_by = :user_id", f"changed_by = {pseudonym_for('changed_by')}"),
            keeps="What the organisation decided about its files, without who did.",
            exported={"decided about files": "changed_at"},
            exported_where="org_id = :org_id AND changed_by = :user_id",
            of_organisation={"days kept": "retention_days", "hold": "hold", "while stopped": "when_stopped"},
            withheld="hold_since changed_by",
        ),
        Holding(
            "left_copy",
            keeps="Ids of copies in SharePoint that are still to be deleted; they name nobody.",
            of_organisation={"copy in SharePoint": "item_id", "library": "drive_id", "since": "since"},
            withheld="id folder_id says",
        ),
        AUDIT,
    ),
    jobs=f"payload ->> 'file_id' IN (SELECT id FROM stored_file WHERE {_OWN})",
    sweep=delete_strays,
    audit_path="/v1/files/audit",
)
