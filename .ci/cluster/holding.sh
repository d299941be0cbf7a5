# Sourced by chart.sh: what a release that runs must hold.

told() { # <job> <words>: whether it said them. Its words are read to the end: a reader that stops early fails the writer, and so the pipe
  [[ $(beside logs "job/$1" 2> /dev/null) == *"$2"* ]]
}

reached() { # <step of the demo>: or it is over, and never will be
  [ -z "$(beside get job demo -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')" ] || told demo "$1" || die "the main job ended before: $1"
  told demo "$1"
}

during() { # <what the demo says when it begins> <workload …>: their pods are killed then, and the main job is not over yet
  step=$1 killed=''
  shift
  wait_until 600 "the main job reached: $step" reached "$step"
  for workload; do
    name=${workload%-worker} part=api
    [ "$workload" = "$name" ] || part=worker
    killed="$killed $(there get pods -l "app.kubernetes.io/name=$name,app.kubernetes.io/component=$part" -o name | tr '\n' ' ')"
  done
  [ -z "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ] || die "the main job was over before these were killed:$killed"
  # shellcheck disable=SC2086 # a list of pods
  there delete $killed --grace-period=0 --force --wait=false > /dev/null 2>&1
  echo "$killed" | tr -s ' ' '\n' >> "$made/killed"
  go_on "$step"
}

main_job() {
  there get pods -o name > "$made/before"
  : > "$made/killed"
  beside delete job demo --ignore-not-found > /dev/null
  named .ci/cluster/demo.yaml | beside apply -f - > /dev/null
  during "connects the organisation" tenant-connector tenant-connector-worker contacts contacts-worker
  during "connects her Microsoft account" user-auth user-auth-worker mail mail-worker
  during "schedules a Teams meeting" meetings meetings-worker console
  during "The meeting takes place" recording-ingest storage storage-worker
  during "arrive in the meeting record" recording-ingest-worker
  missed=$(grep -vxFf "$made/killed" "$made/before" || true)
  [ -z "$missed" ] || die "these were not killed: $missed"
  say "a pod of each kind was killed, and the main job goes on"
}

main_job_done() {
  until [ -n "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ]; do
    [ -z "$(beside get job demo -o 'jsonpath={.status.failed}')" ] || die "the main job was not done"
    sleep 0.5
  done
  beside logs job/demo | tail -n 12
  say "the main job is done"
}

main_job_held() { # where the meeting takes place; let_go ends that
  beside delete job demo --ignore-not-found > /dev/null
  named .ci/cluster/demo.yaml | beside apply -f - > /dev/null
  beside wait --for=condition=Ready pod -l job-name=demo --timeout=120s > /dev/null
  go_on "connects the organisation" "connects her Microsoft account" "schedules a Teams meeting"
}

go_on() { # <step …>: the main job goes on there
  # shellcheck disable=SC2016 # the container's shell reads it
  beside exec job/demo -- sh -c 'printf "%s\n" "$@" >> /state/killed' sh "$@"
}

let_go() { go_on "The meeting takes place" "arrive in the meeting record"; }

begin_main_job() { # one that no step of holds
  main_job_held
  let_go
}

asked() { # somebody asks for pages from now on; asked_all ends it
  beside delete job asking --ignore-not-found > /dev/null
  named .ci/cluster/asking.yaml | beside apply -f - > /dev/null
  beside wait --for=condition=Ready pod -l job-name=asking --timeout=120s > /dev/null
}

asked_all() { # every request was answered, or refused with a 503 that says when to come again
  beside exec job/asking -- touch /tmp/enough
  beside wait --for=condition=Complete job/asking --timeout=90s > /dev/null
  beside logs job/asking > "$made/asked"
  ! grep -F FAILED "$made/asked" || die "requests failed"
  tail -n 1 "$made/asked"
}

replaced() { # <pods>: none of them is there any more
  local now
  now=$(running) && ! grep -qxF -- "$1" <<< "$now"
}

upgrade() { # to another build while the main job goes on: every pod is replaced, nothing is lost and no request fails
  before=$(running)
  asked
  begin_main_job
  wait_until 120 "the main job began" reached "connects the organisation"
  attempt upgrade prospo --set defaults.podAnnotations.build=next --wait > /dev/null
  wait_until 120 "every pod is replaced" replaced "$before" # one may still be stopping
  main_job_done
  answers=$(asked_all) # by itself, or its failure would be no failure of the phase
  say "upgraded while the main job went on: $answers"
}

tries() { # <namespace> <pod> <host> <port>: what comes of a connection
  kubectl -n "$1" exec "$2" -- python -c '
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("reached")
except OSError as error:
    print(type(error).__name__)' "$3" "$4"
}

confinement() { # a pod that is not the gateway comes in nowhere; a service gets out to what it needs, and writes nothing into its image
  there rollout status deployment --timeout=180s > /dev/null
  own=$(there get pods -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=api -o 'jsonpath={.items[0].metadata.name}')
  while read -r namespace pod host port expected; do
    came=$(tries "$namespace" "$pod" "$host" "$port" < /dev/null)
    case $expected-$came in yes-reached | no-ConnectionRefusedError | no-TimeoutError) ;; *) die "from $pod to $host:$port: $came" ;; esac
  done << T
$engines simulator prospo-meetings.$release 8080 no
$engines simulator prospo-user-auth.$release 8080 no
$release $own prospo-user-auth 8080 yes
$release $own prospo-mail 8080 no
$release $own kafka.$engines 9093 yes
$release $own kafka.$engines 9092 no
$release $own kubernetes.default 443 no
T
  wrote=$(there exec "$own" -- python -c '
import os
for folder in ("/", "/app", "/data", "/packages", "/secrets", "/keys/own"):
    try:
        open(f"{folder}/written", "w").close()
        print(folder, end=" ")
    except OSError:
        pass
open("/tmp/written", "w").close()
assert os.getuid() == 10001')
  [ -z "$wrote" ] || die "$own writes into $wrote"
  say "the network policies hold, and a pod writes nowhere but into /tmp"
}

round() {
  helm test prospo --namespace $release --timeout 5m --logs > "$made/tested" || { cat "$made/tested"; exit 1; }
  sed -n '/ready$/p; /through Kafka/p' "$made/tested"
  say "helm test passes"
}
