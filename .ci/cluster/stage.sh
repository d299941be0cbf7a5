#!/bin/sh
# The chart on a Kubernetes node of our own, which is ended afterwards. Where an engine (DOCKER_HOST) has the images of the services.
# usage: stage.sh <folder kept between runs> <folder of this run> <when it must be over, in seconds since 1970>; PROSPO_HELM is Helm 4.
# PHASES: those of chart.sh. Exit status 75 when the time does not suffice for it to begin.
set -eu
cd "$(dirname "$0")/../.."
cache=$1 work=$2 deadline=$3
. .ci/cluster/cluster.sh
trap stop_cluster EXIT
trap 'exit 130' INT TERM
left() { # <most>: how many seconds are left, and no more than that
  left=$((deadline - $(date +%s)))
  [ "$left" -gt 0 ] || left=1
  [ "$left" -lt "$1" ] || left=$1
  echo "$left"
}
status=0
node=$(timeout "$(left 2700)" .ci/cluster/binaries.sh "$cache" node) || status=$?
case $status in 0) ;; 124) exit 75 ;; *) exit 1 ;; esac # a build that was stopped goes on where it was
[ "$(left 600)" = 600 ] || exit 75
metrics=
case " ${PHASES:-} " in *" long "* | *" scaled_by_cpu "*) metrics=$(.ci/cluster/binaries.sh "$cache" metrics) ;; esac
.ci/cluster/images.sh "$node" "$metrics"
echo "starting a Kubernetes node"
start_cluster "$node"
# shellcheck disable=SC2046 # a list of images
import_images prospo.test/pause:1 prospo.test/coredns:1 postgres:17 apache/kafka:4.3.1 envoyproxy/envoy:v1.40.0 \
  $(docker images --format '{{.Repository}}:{{.Tag}}' 'prospo-m365/*:test') prospo-m365/meetings:next ${metrics:+prospo.test/metrics-server:1}
inside kubectl apply -f .ci/cluster/dns.yaml > /dev/null
inside kubectl -n kube-system rollout status deployment/coredns --timeout=120s > /dev/null
if [ -n "$metrics" ]; then
  inside kubectl apply -f .ci/cluster/metrics.yaml > /dev/null
  inside kubectl -n kube-system rollout status deployment/metrics-server --timeout=120s > /dev/null
fi
mkdir -p "$cluster_run/files"
chmod 0777 "$cluster_run/files"
# shellcheck disable=SC2086 # a list of phases
inside env NEXT=1 FILES="$cluster_run/files" PATH="$(dirname "$PROSPO_HELM"):$node:$PATH" timeout --kill-after=60 "$(left 3600)" .ci/cluster/chart.sh ${PHASES:-}
