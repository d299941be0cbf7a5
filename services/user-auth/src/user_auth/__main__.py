from shared.hosting.service import run
from user_auth.main import create_service
from user_auth.settings import Settings

run(create_service, Settings)
