#!/bin/sh
# The chart on a Kubernetes node of our own, which is ended afterwards. Where an engine (DOCKER_HOST) has the images of the services.
# usage: stage.sh <folder kept between runs> <folder of this run>; PROSPO_HELM is Helm 4.
set -eu
cd "$(dirname "$0")/../.."
cache=$1 work=$2
. .ci/cluster/cluster.sh
trap stop_cluster EXIT
trap 'exit 130' INT TERM
node=$(timeout 45m .ci/cluster/binaries.sh "$cache" node) || { echo "no Kubernetes was built within 45 minutes; the next run goes on from there" >&2; exit 1; }
.ci/cluster/images.sh "$node"
echo "starting a Kubernetes node"
start_cluster "$node"
# shellcheck disable=SC2046 # a list of images
import_images prospo.test/pause:1 prospo.test/coredns:1 postgres:17 apache/kafka:4.3.1 envoyproxy/envoy:v1.40.0 \
  $(docker images --format '{{.Repository}}:{{.Tag}}' 'prospo-m365/*:test')
inside kubectl apply -f .ci/cluster/dns.yaml > /dev/null
inside kubectl -n kube-system rollout status deployment/coredns --timeout=120s > /dev/null
mkdir -p "$cluster_run/files"
chmod 0777 "$cluster_run/files"
inside env FILES="$cluster_run/files" PATH="$(dirname "$PROSPO_HELM"):$node:$PATH" timeout --kill-after=60 15m .ci/cluster/chart.sh
