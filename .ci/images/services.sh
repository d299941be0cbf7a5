#!/bin/sh
# Build the image of every service that can be started, and start each without settings: it must say which it lacks; and the image of
# development (simulator, demo), which must have what it imports.
# The base python:3.11-slim-bookworm is made from Debian's packages when the engine does not have it.
set -eu
cd "$(dirname "$0")/../.."
. .ci/images/debian.sh
if ! docker image inspect python:3.11-slim-bookworm >/dev/null 2>&1; then
  debian bookworm
  mkdir "$work/python"
  cp .ci/images/python/Dockerfile /etc/ssl/certs/ca-certificates.crt "$work/python"
  build python:3.11-slim-bookworm "$work/python"
fi
base=$(docker image inspect -f '{{.Size}}' python:3.11-slim-bookworm)
for main in services/*/src/*/__main__.py; do
  service=$(echo "$main" | cut -d/ -f2)
  build "prospo-m365/$service:test" . --build-arg "SERVICE=$service"
  size=$(docker image inspect -f '{{.Size}}' "prospo-m365/$service:test")
  echo "  $(((size - base) / 1000000)) MB beside its base"
  status=0
  docker run --rm --network none --read-only "prospo-m365/$service:test" migrate > "$work/said" 2>&1 || status=$?
  [ "$status" = 2 ] || { [ "$service" = console ] && [ "$status" = 1 ]; } || { cat "$work/said" >&2; exit 1; }
done
build prospo-m365/development:test . --target development
docker run --rm --network none --read-only prospo-m365/development:test python -c "import m365_simulator, demo, keys, personas"
