"""The storage service put together."""

from shared.bus import Bus
from shared.hosting.service import Service
from shared.web.attendance import Attendance
from storage.api import router
from storage.deliveries import Deliveries
from storage.erasing import HOLDINGS
from storage.files_api import router as files_router
from storage.handlers import on
from storage.jobs import does
from storage.keeping_api import router as keeping_router
from storage.links_api import router as links_router
from storage.locations_api import router as locations_router
from storage.migrating_api import router as migrating_router
from storage.objects import Objects
from storage.parts import Parts
from storage.settings import Settings
from storage.uploading_api import router as uploading_router

UPLOADS = ("/v1/uploads/", "/v1/files/uploads/")
"""Bodies here are ranges of files, which the routes limit themselves."""


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; uploads have a limit of their own, per range."""
    service = Service("storage", "storage", settings, bus=bus, unlimited_bodies=UPLOADS)
    service.hold(HOLDINGS)
    service.consume(on)
    deliveries = Deliveries(service.db, service.envelope, service.guest("graph"))
    attendance = Attendance(settings, service.service_tokens)
    service.provide(parts=Parts(Objects(settings)), deliveries=deliveries, attendance=attendance)
    for routes in (
        router,
        uploading_router,
        links_router,
        files_router,
        locations_router,
        migrating_router,
        keeping_router,
    ):
        service.include(routes)
    service.work(does)
    return service
