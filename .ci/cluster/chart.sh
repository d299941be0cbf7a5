#!/bin/bash
# The chart on a real cluster: every example of values is valid; a release does the main job while a pod of each kind is killed, refuses
# what cannot be without touching what runs, and goes without a trace. KUBECONFIG names the cluster, which has the images (tag test);
# FILES a folder of its only node for storage's files, where no storage class makes volumes. Only namespaces of its own are touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
chart=deploy/helm/prospo-m365
release=prospo-test engines=prospo-test-engines
python=${PYTHON:-.venv/bin/python}
made=$(mktemp -d)
began=$(date +%s)
say() { echo "chart: $* ($(($(date +%s) - began)) s)"; }
die() { echo "chart: $*" >&2; exit 1; }
named() { sed "s/ENGINES/$engines/g" "$1"; }
there() { kubectl -n $release "$@"; }
beside() { kubectl -n $engines "$@"; }
# shellcheck source=.ci/cluster/refusals.sh
. .ci/cluster/refusals.sh

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
  kubectl delete namespace $release $engines --ignore-not-found --wait=false > /dev/null 2>&1 || true
  kubectl delete pv prospo-test-files --ignore-not-found --wait=false > /dev/null 2>&1 || true
  rm -rf "$made"
  exit "$status"
}
trap clean EXIT
trap 'exit 130' INT TERM

for namespace in $release $engines; do # of a run that was killed
  kubectl delete namespace $namespace --ignore-not-found --timeout=120s
  kubectl create namespace $namespace > /dev/null
done
kubectl label namespace $release pod-security.kubernetes.io/enforce=restricted > /dev/null
if there run free --image=prospo-m365/mail:test --dry-run=server > "$made/said" 2>&1; then die "a pod that is not restricted is let in"; fi
grep -q 'violates PodSecurity "restricted' "$made/said" || { cat "$made/said" >&2; exit 1; }

examples() { # the strictest reader of objects is a server that knows their definitions
  definitions=${CRDS_DIR:-../shared/kubernetes/crds}
  [ -d "$definitions" ] || { say "no definitions in $definitions: examples are not validated; set CRDS_DIR"; return; }
  kubectl apply --server-side --force-conflicts -f "$definitions" > /dev/null
  kubectl wait --for=condition=Established crd --all --timeout=60s > /dev/null
  for values in $chart/ci/*-values.yaml; do
    helm template example $chart --namespace $release --values "$values" > "$made/rendered.yaml"
    there apply --dry-run=server --validate=strict -f "$made/rendered.yaml" > /dev/null
    say "valid with $(basename "$values")"
  done
}

start_engines() {
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
}

during() { # <what the demo says when it begins> <workload …>: their pods are killed then, and the main job is not over yet
  until beside logs job/demo 2> /dev/null | grep -qF "$1"; do
    [ -z "$(beside get job demo -o 'jsonpath={.status.failed}')" ] || die "the main job ended before: $1"
    sleep 0.3
  done
  step=$1
  shift
  killed=''
  for workload; do
    name=${workload%-worker} part=api
    [ "$workload" = "$name" ] || part=worker
    killed="$killed $(there get pods -l "app.kubernetes.io/name=$name,app.kubernetes.io/component=$part" -o name)"
  done
  [ -z "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ] || die "the main job was over before these were killed:$killed"
  # shellcheck disable=SC2086 # a list of pods
  there delete $killed --grace-period=0 --force --wait=false > /dev/null 2>&1
  echo "$killed" | tr ' ' '\n' >> "$made/killed"
  # shellcheck disable=SC2016 # the container's shell reads it
  beside exec job/demo -- sh -c 'echo "$1" >> /state/killed' sh "$step"
}

main_job() {
  there get pods -o name > "$made/before"
  named .ci/cluster/demo.yaml | beside apply -f - > /dev/null
  during "connects the organisation" tenant-connector tenant-connector-worker contacts contacts-worker
  during "connects her Microsoft account" user-auth user-auth-worker mail mail-worker
  during "schedules a Teams meeting" meetings meetings-worker console
  during "The meeting takes place" recording-ingest recording-ingest-worker storage storage-worker
  missed=$(grep -vxFf "$made/killed" "$made/before" || true)
  [ -z "$missed" ] || die "these were not killed: $missed"
  beside wait --for=condition=Complete job/demo --timeout=420s > /dev/null
  beside logs job/demo | tail -n 12
}

tries() { # <pod> <host> <port>: what comes of a connection
  kubectl -n "$1" exec "$2" -- python -c '
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("reached")
except OSError as error:
    print(type(error).__name__)' "$3" "$4"
}

policies() { # a pod that is not the gateway comes in nowhere; a service gets out to what it needs
  own=$(there get pods -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=api -o name | head -n 1)
  for row in "$engines simulator prospo-meetings.$release 8080 no" "$engines simulator prospo-user-auth.$release 8080 no" \
    "$release $own prospo-user-auth 8080 yes" "$release $own prospo-mail 8080 no" "$release $own kafka.$engines 9093 yes" \
    "$release $own kafka.$engines 9092 no" "$release $own kubernetes.default 443 no"; do
    # shellcheck disable=SC2086 # four words and what is expected
    set -- $row
    came=$(tries "$1" "$2" "$3" "$4")
    [ "$5" = yes ] && [ "$came" = reached ] || { [ "$5" = no ] && [ "$came" != reached ]; } || die "from $2 to $3:$4: $came"
  done
}

examples
start_engines
say "the engines run"
named .ci/cluster/values.yaml > "$made/values.yaml"
refuse_installs
say "what cannot be is not installed"
helm install prospo $chart --namespace $release --values "$made/values.yaml" --wait --timeout 8m > "$made/notes"
there wait --for=condition=Ready pod --all --timeout=10s > /dev/null
say "$(there get pods --no-headers | wc -l) pods are ready"
main_job
say "the main job is done, and a pod of each kind was killed meanwhile"
there rollout status deployment --timeout=180s > /dev/null
policies
say "the network policies hold"
helm test prospo --namespace $release --timeout 5m --logs > "$made/tested" || { cat "$made/tested"; exit 1; }
sed -n '/ready$/p; /through Kafka/p' "$made/tested"
refuse_upgrades
say "what cannot be leaves the release as it is"
helm uninstall prospo --namespace $release --wait --timeout 3m > /dev/null
of_release="app.kubernetes.io/part-of=prospo-m365"
left=$(there get all,networkpolicies,poddisruptionbudgets,serviceaccounts,configmaps -l $of_release -o name)
[ -z "$left" ] || die "left behind: $left"
say "nothing is left"
