from mail.main import create_service
from mail.settings import Settings
from shared.hosting.service import run

run(create_service, Settings)
