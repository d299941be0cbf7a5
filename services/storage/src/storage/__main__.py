from shared.hosting.service import run
from storage.main import create_service
from storage.settings import Settings

run(create_service, Settings)
