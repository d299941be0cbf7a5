from contacts.main import create_service
from contacts.settings import Settings
from shared.hosting.service import run

run(create_service, Settings)
