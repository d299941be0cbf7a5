"""What the application mounts for files, and the verbs that come with it."""

from . import copying, drive_items, file_verbs, sharing, sites, teams, trouble, upload_host, uploads, versions

ROUTERS = (teams.router, sites.router, drive_items.router)
OTHER_HOST = (upload_host.router, copying.router)
PLACES = (sharing, uploads, versions, file_verbs, trouble)
"""Imported, so registered."""
