#!/bin/bash
# The chart on a real cluster: every example of values is valid; a release does the main job while a pod of each kind is killed, refuses
# what cannot be without touching what runs, and goes without a trace. KUBECONFIG names the cluster, which has the images (tag test);
# FILES a folder of its only node for storage's files, where no storage class makes volumes. Only namespaces of its own are touched.
# usage: chart.sh [phase …], those of the stage when none is named; `long` stands for those before a release (long.sh, scaling.sh).
# KEEP=<folder> leaves the release and what was made for it there, so that a phase can be tried again on what an earlier call left.
# NEXT: the cluster has the image prospo-m365/meetings:next, another build with one migration more.
set -euo pipefail
cd "$(dirname "$0")/../.."
chart=deploy/helm/prospo-m365
release=prospo-test engines=prospo-test-engines
python=${PYTHON:-.venv/bin/python}
made=${KEEP:-$(mktemp -d)}
mkdir -p "$made"
began=$(date +%s)
say() { echo "chart: $* ($(($(date +%s) - began)) s)"; }
die() { echo "chart: $*" >&2; exit 1; }
named() { sed "s/ENGINES/$engines/g" "$1"; }
wait_until() { # <seconds> <what comes true> <command …>: asked again until it says so
  local end=$(($(date +%s) + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$(date +%s)" -lt "$end" ] || die "in time it did not come true that $what"
    sleep 0.5
  done
}
there() { kubectl -n $release "$@"; }
beside() { kubectl -n $engines "$@"; }
# shellcheck source=.ci/cluster/refusals.sh
. .ci/cluster/refusals.sh
# shellcheck source=.ci/cluster/holding.sh
. .ci/cluster/holding.sh
# shellcheck source=.ci/cluster/long.sh
. .ci/cluster/long.sh
# shellcheck source=.ci/cluster/scaling.sh
. .ci/cluster/scaling.sh

clean() {
  status=$?
  trap - EXIT
  if [ "$status" != 0 ]; then
    kubectl get pods -A -o wide || true
    kubectl get events -A --sort-by=.lastTimestamp 2> /dev/null | tail -n 20 || true
    for pod in $(there get pods -o name 2> /dev/null); do
      there logs "$pod" --tail=12 --prefix 2> /dev/null || true
    done
    beside logs job/demo --tail=60 2> /dev/null || true
  fi
  if [ -z "${KEEP:-}" ]; then
    kubectl delete namespace $release $engines --ignore-not-found --wait=false > /dev/null 2>&1 || true
    kubectl delete pv prospo-test-files --ignore-not-found --wait=false > /dev/null 2>&1 || true
    rm -rf "$made"
  fi
  exit "$status"
}
trap clean EXIT
trap 'exit 130' INT TERM

prepare() { # what a run that was killed left goes first
  kubectl delete namespace $release $engines --ignore-not-found --timeout=120s > /dev/null
  kubectl delete pv prospo-test-files --ignore-not-found --timeout=60s > /dev/null
  for namespace in $release $engines; do
    kubectl create namespace "$namespace" > /dev/null
  done
  kubectl label namespace $release pod-security.kubernetes.io/enforce=restricted > /dev/null
  if there run free --image=prospo-m365/mail:test --dry-run=server > "$made/said" 2>&1; then die "a pod that is not restricted is let in"; fi
  grep -q 'violates PodSecurity "restricted' "$made/said" || { cat "$made/said" >&2; exit 1; }
  named .ci/cluster/values.yaml > "$made/values.yaml"
}

examples() { # the strictest reader of objects is a server that knows their definitions
  definitions=${CRDS_DIR:-../shared/kubernetes/crds}
  [ -d "$definitions" ] || { say "no definitions in $definitions: examples are not validated; set CRDS_DIR"; return; }
  kubectl apply --server-side --force-conflicts -f "$definitions" > /dev/null
  kubectl wait --for=condition=Established crd --all --timeout=60s > /dev/null
  for values in "$chart"/ci/*-values.yaml; do
    helm template example $chart --namespace $release --values "$values" > "$made/rendered.yaml"
    there apply --dry-run=server --validate=strict -f "$made/rendered.yaml" > /dev/null
    say "valid with $(basename "$values")"
  done
}

engines() {
  PYTHONPATH=. $python .ci/cluster/objects.py "$made" $engines $release > "$made/objects.yaml"
  kubectl apply -f "$made/objects.yaml" > /dev/null
  beside create service clusterip gateway --tcp=8365 > /dev/null
  named .ci/cluster/engines.yaml | sed "s/GATEWAY/$(beside get service gateway -o 'jsonpath={.spec.clusterIP}')/" | beside apply -f - > /dev/null
  beside wait --for=condition=Ready pod/postgres pod/kafka pod/simulator pod/gateway --timeout=180s > /dev/null
  beside exec simulator -- cat /state/ca.pem > "$made/ca.crt"
  there create secret generic simulator-ca --from-file=ca.crt="$made/ca.crt" > /dev/null
  class='' access=ReadWriteOnce
  if [ -n "${FILES:-}" ]; then
    class='storageClassName: ""' access=ReadWriteMany
    kubectl apply -f - > /dev/null << Y
apiVersion: v1
kind: PersistentVolume
metadata: {name: prospo-test-files}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: $FILES}
  claimRef: {namespace: $release, name: files}
Y
  fi
  there apply -f - > /dev/null << Y
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {accessModes: [$access], resources: {requests: {storage: 1Gi}}, $class}
Y
  say "PostgreSQL, Kafka, the simulated Microsoft and Envoy run"
}

everything() { # every object of the release's namespace but what the cluster notes by itself
  kinds=$(kubectl api-resources --verbs=list --namespaced -o name | grep -v -e '^events' -e '^pods.metrics' | paste -sd,)
  there get "$kinds" -o name --ignore-not-found | sort
}

install() {
  everything > "$made/before-install"
  helm install prospo $chart --namespace $release --values "$made/values.yaml" --wait --timeout 8m > "$made/notes"
  there wait --for=condition=Ready pod --all --timeout=10s > /dev/null
  say "$(there get pods --no-headers | wc -l) pods are ready"
}

uninstall() {
  helm uninstall prospo --namespace $release --cascade foreground --wait --timeout 8m > /dev/null
  left=
  for _ in {1..20}; do # what belonged to it is collected a moment later
    everything > "$made/after"
    left=$(grep -vxFf "$made/before-install" "$made/after" || true)
    [ -n "$left" ] || break
    sleep 1
  done
  [ -z "$left" ] || die "left behind: $left"
  say "uninstalled; nothing is left"
}

stage="prepare examples engines refuse_installs install main_job confinement round main_job_done refuse_upgrades upgrade uninstall"
long="prepare engines install once at_rest two_workers scaled_by_cpu evicted side_by_side guide engines_restarted killed_at_random restored erased uninstall"
known="$stage $long"
passed=0
wanted=${*:-$stage}
[ "$wanted" != long ] || wanted=$long
for phase in $wanted; do
  case " $known " in *" $phase "*) "$phase" ;; *) die "no phase is called $phase. Known: $known" ;; esac
  passed=$((passed + 1))
done
echo "chart: $passed passed, 0 failed"
