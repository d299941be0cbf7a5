from meetings.main import create_service
from meetings.settings import Settings
from shared.hosting.service import run

run(create_service, Settings)
