"""The recording-ingest service put together."""

from recording_ingest.api import router
from recording_ingest.erasing import HOLDINGS
from recording_ingest.handlers import on
from recording_ingest.jobs import does
from recording_ingest.settings import Settings
from recording_ingest.uploads import StorageClient
from shared.bus import Bus
from shared.hosting.service import Service
from shared.web.attendance import Attendance

NAME = "recording-ingest"


def create_service(settings: Settings, *, bus: Bus | None = None) -> Service:
    """Everything the service is made of; nothing runs before ``start``."""
    service = Service(NAME, "recording_ingest", settings, bus=bus)
    service.hold(HOLDINGS)
    tokens = service.service_tokens
    service.provide(storage=StorageClient(settings, tokens), attendance=Attendance(settings, tokens))
    service.include(router)
    service.hear_graph()
    service.consume(on)
    service.work(does)
    return service
