from recording_ingest.main import create_service
from recording_ingest.settings import Settings
from shared.hosting.service import run

run(create_service, Settings)
