"""``compose.yaml``: what each service is in it, below what is written by hand."""

from dev.services import ROOT, Described, described

MARK = "  # From here on made by `make generate` from services.toml.\n"


def composed() -> str:
    """The whole file; what stands above the mark is kept."""
    by_hand = (ROOT / "compose.yaml").read_text().partition(MARK)[0]
    return by_hand + MARK + "\n".join(_blocks(service) for service in described().values() if service.database)


def _blocks(service: Described) -> str:
    name, role = service.name, service.package
    keys = f"{{type: volume, source: keys, target: /keys, read_only: true, volume: {{subpath: {name}}}}}"
    volumes = [keys, "files:/data"] if service.files else [keys]
    mounted = "".join(f"      - {volume}\n" for volume in volumes)
    at = "development@postgres"
    return f"""  {name}-migrate:
    <<: *migrate
    image: prospo-m365/{name}
    build: {{context: ., args: {{SERVICE: {name}}}}}
    environment: &{name}-own
      PROSPO_DATABASE_URL: postgresql://{role}:{at}/{role}
      PROSPO_REQUEST_DATABASE_URL: postgresql://{role}_request:{at}/{role}
      PROSPO_MIGRATION_DATABASE_URL: postgresql://{role}_owner:{at}/{role}
      PROSPO_CA_BUNDLE: /keys/ca.pem
    volumes: &{name}-volumes
{mounted}  {name}:
    <<: *api
    image: prospo-m365/{name}
    environment: *{name}-own
    volumes: *{name}-volumes
    depends_on: &{name}-needs
      {name}-migrate: {{condition: service_completed_successfully}}
      kafka: {{condition: service_healthy}}
      simulator: {{condition: service_healthy}}
  {name}-worker:
    <<: *worker
    image: prospo-m365/{name}
    environment: *{name}-own
    volumes: *{name}-volumes
    depends_on: *{name}-needs
"""
