from shared.hosting.service import run
from tenant_connector.main import create_service
from tenant_connector.settings import Settings

run(create_service, Settings)
