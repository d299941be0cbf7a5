# shellcheck shell=bash disable=SC2154 # sourced by chart.sh, whose names it uses
# What is run before a release and takes longer than the stage: make chart-test-long. Commands of docs/how-to/operate.md come from the page.

page() { # <name>: the commands of the operations guide under this name, as they stand there, in the folder of this run
  $python -m dev.pages docs/how-to/operate.md "$1" > "$made/command"
  (
    export namespace=$release chart=$PWD/$chart values=$made/values.yaml service database bootstrap
    release=prospo
    export release
    cd "$made"
    bash -euo pipefail "$made/command"
  )
}

asked() { # somebody asks for pages from now on; asked_all ends it
  beside delete job asking --ignore-not-found > /dev/null
  named .ci/cluster/asking.yaml | sed 's/activeDeadlineSeconds: 600/activeDeadlineSeconds: 1800/' | beside apply -f - > /dev/null
  beside wait --for=condition=Ready pod -l job-name=asking --timeout=120s > /dev/null
}

asked_all() { # every request was answered, or refused with a 503 that says when to come again
  beside exec job/asking -- touch /tmp/enough
  beside wait --for=condition=Complete job/asking --timeout=90s > /dev/null
  beside logs job/asking > "$made/asked"
  ! grep -F FAILED "$made/asked" || die "requests failed"
  tail -n 1 "$made/asked"
}

begin_main_job() { # one that no step of holds; of <bytes> of recording where given
  [ -z "${1:-}" ] || beside exec simulator -- python -c "
import asyncio
from m365_simulator.client import SimulatorClient
async def main():
    async with SimulatorClient('http://127.0.0.1:8367') as microsoft:
        await microsoft.recording_size($1)
asyncio.run(main())"
  beside delete job demo --ignore-not-found > /dev/null
  named .ci/cluster/demo.yaml | beside apply -f - > /dev/null
  beside wait --for=condition=Ready pod -l job-name=demo --timeout=120s > /dev/null
  # shellcheck disable=SC2016 # the container's shell reads it
  beside exec job/demo -- sh -c 'printf "%s\n" "$@" > /state/killed' sh \
    "connects the organisation" "connects her Microsoft account" "schedules a Teams meeting" "The meeting takes place" "arrive in the meeting record"
}

holders() { # the pods of workers of recording-ingest
  there get pods -l app.kubernetes.io/name=recording-ingest,app.kubernetes.io/component=worker -o 'jsonpath={.items[*].metadata.name}'
}

evicted() { # in the middle of a transfer each worker is evicted through the API, one after another as the budget lets it
  size=$((600 * 1024 * 1024))
  begin_main_job $size
  at="SELECT received_bytes FROM stored_file WHERE size_bytes = $size AND completed_at IS NULL AND received_bytes > 0"
  until moved=$(query storage "$at") && [ -n "$moved" ]; do
    [ -z "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ] || die "the main job was over before a worker was evicted"
    sleep 0.1
  done
  for pod in $(holders); do
    until kubectl create --raw "/api/v1/namespaces/$release/pods/$pod/eviction" -f - > "$made/said" 2>&1 << Y
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$pod", "namespace": "$release"}}
Y
    do
      grep -qF "disruption budget" "$made/said" || { cat "$made/said" >&2; die "$pod was not evicted"; }
      sleep 0.5
    done
  done
  main_job_done
  beside exec simulator -- python -c "
import asyncio
from m365_simulator.client import SimulatorClient
async def main():
    async with SimulatorClient('http://127.0.0.1:8367') as microsoft:
        read = [row['range'] for row in await microsoft.calls() if row['path'] == '/download/{link}' and row['status'] in (200, 206)]
        await microsoft.recording_size(None)
    starts = [int(one.removeprefix('bytes=').rstrip('-')) if one else 0 for one in read]
    own = starts[len(starts) - starts[::-1].index(0) - 1:]
    print(*own)
    assert len(own) > 1, 'no worker handed over'
    assert own == sorted(set(own)), 'a range below a hand-over was read again'
    assert own[1] >= $moved, 'less was kept than storage had'
asyncio.run(main())" > "$made/ranges" 2>&1 || { cat "$made/ranges" >&2; die "the hand-over was not at the byte"; }
  say "evicted workers handed over at the bytes $(tail -n 1 "$made/ranges")"
}

killed_at_random() { # for a minute a pod of any kind dies every three seconds; one of each in the end, which the demo counts
  asked
  begin_main_job
  until=$(($(date +%s) + 60)) count=0
  while [ "$(date +%s)" -lt "$until" ]; do
    pod=$(there get pods -l app.kubernetes.io/component!=migrate -o name | shuf -n 1)
    there delete "$pod" --grace-period=0 --force --wait=false > /dev/null 2>&1 || true
    count=$((count + 1))
    [ -z "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ] || { main_job_done; begin_main_job; }
    sleep 3
  done
  main_job_done
  there rollout status deployment --timeout=180s > /dev/null
  stuck
  beside exec job/asking -- touch /tmp/enough # a pod that is killed answers nobody: these requests are not promised an answer
  say "$count pods were killed in a minute"
}

stuck() { # nothing failed for good or waits for somebody, in any service
  for name in $(there get secrets -o name | sed -n 's|^secret/\(.*\)-database$|\1|p'); do
    found=$(query "$(printf %s "$name" | tr - _)" "SELECT kind FROM job WHERE state = 'failed' UNION ALL SELECT topic FROM parked_record
      UNION ALL SELECT topic FROM outbox WHERE parked_at IS NOT NULL")
    [ -z "$found" ] || die "$name: $found"
  done
}

engines_restarted() { # PostgreSQL's container and then Kafka's end under load; their files stay
  asked
  begin_main_job
  until beside logs job/demo 2> /dev/null | grep -qF "connects her Microsoft account"; do sleep 0.5; done
  for engine in postgres kafka; do
    restarts=$(beside get pod $engine -o 'jsonpath={.status.containerStatuses[0].restartCount}')
    beside exec $engine -- sh -c 'kill -INT 1' || true
    until [ "$(beside get pod $engine -o 'jsonpath={.status.containerStatuses[0].restartCount}')" -gt "$restarts" ]; do sleep 0.5; done
    beside wait --for=condition=Ready pod/$engine --timeout=120s > /dev/null
    sleep 5
  done
  main_job_done
  stuck
  answers=$(asked_all) # by itself, or its failure would be no failure of the phase
  say "PostgreSQL and Kafka were restarted: $answers"
}

column() {
  query meetings "SELECT count(*) FROM information_schema.columns WHERE column_name = 'of_the_next_build'"
}

side_by_side() { # another build with one migration more: pods of both builds do a main job on the newer database
  [ -n "${NEXT:-}" ] || { say "NEXT is not set: no image prospo-m365/meetings:next, so side_by_side is left out"; return; }
  two="--set services.meetings.api.replicas=2 --set services.meetings.worker.replicas=2"
  # shellcheck disable=SC2086 # options
  attempt upgrade prospo $two --wait > /dev/null
  asked
  [ "$(column)" = 0 ] || die "the migration of the next build is there before the upgrade"
  # shellcheck disable=SC2086
  attempt upgrade prospo $two --set services.meetings.image.tag=next > /dev/null # its hook has migrated when it returns
  [ "$(column)" = 1 ] || die "the migration of the next build was not done"
  for part in meetings meetings-worker; do
    there rollout pause deployment/prospo-$part > /dev/null
  done
  for part in api worker; do
    there wait --for=condition=Ready pod -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=$part --timeout=120s > /dev/null
    builds=$(there get pods -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=$part \
      -o 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\n"}{end}' | sort -u | wc -l)
    [ "$builds" = 2 ] || die "not both builds of meetings' $part are there"
  done
  begin_main_job
  main_job_done
  for part in meetings meetings-worker; do
    there rollout resume deployment/prospo-$part > /dev/null
    there rollout status deployment/prospo-$part --timeout=120s > /dev/null
  done
  begin_main_job # and the newer one alone, then the one before on the newer database
  main_job_done
  attempt upgrade prospo --no-hooks --wait > /dev/null
  begin_main_job
  main_job_done
  stuck
  answers=$(asked_all)
  say "two builds worked side by side on the newer database: $answers"
}

guide() { # the pages' commands, one after another, while somebody asks
  asked
  page upgrade > /dev/null
  page scale-by-hand > /dev/null
  [ "$(holders | wc -w)" = 3 ] || die "there are not three workers: $(holders)"
  service=meetings page restart > /dev/null
  service=contacts page stop-workers > /dev/null
  [ -z "$(there get pods -l app.kubernetes.io/name=contacts,app.kubernetes.io/component=worker -o name)" ] || die "a stopped worker is there"
  page start > /dev/null
  [ -n "$(there get pods -l app.kubernetes.io/name=contacts,app.kubernetes.io/component=worker -o name)" ] || die "no worker was started again"
  service=user-auth page keys-list > "$made/said"
  grep -q '"in_ring": true' "$made/said" || { cat "$made/said" >&2; die "keys list names no key"; }
  page rollback > /dev/null
  there rollout status deployment --timeout=180s > /dev/null
  answers=$(asked_all)
  say "the guide's commands: $answers"
}

restored() { # meetings, with Kafka's own program; the other services go on
  service=meetings database=meetings
  begin_main_job
  main_job_done
  backup=$($python -m dev.pages docs/how-to/operate.md backup)
  beside exec postgres -- sh -ec "cd /tmp; export PGUSER=postgres database=meetings; $backup"
  before=$(query meetings "SELECT count(*) FROM meeting")
  begin_main_job
  main_job_done
  page stop > /dev/null
  restore=$($python -m dev.pages docs/how-to/operate.md restore)
  raise=$($python -m dev.pages docs/how-to/operate.md raise-versions)
  beside exec postgres -- sh -ec "cd /tmp; export PGUSER=postgres database=meetings service=meetings; $restore
$raise"
  [ "$(query meetings "SELECT count(*) FROM meeting")" = "$before" ] || die "the copy is not what was copied"
  again=$($python -m dev.pages docs/how-to/operate.md read-again)
  time=$(beside exec postgres -- cat /tmp/meetings.time)
  beside exec kafka -- bash -ec "mkdir -p /tmp/bin && cd /tmp
    printf '#!/bin/sh\nexec java -cp \"/opt/kafka/libs/*\" org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \"\$@\"\n' > bin/kafka-consumer-groups.sh
    chmod +x bin/kafka-consumer-groups.sh
    export PATH=/tmp/bin:\$PATH database=meetings service=meetings bootstrap=kafka.$engines:9092
    echo '$time' > meetings.time; : > client.properties
    $again" > "$made/offsets"
  page start > /dev/null
  begin_main_job
  main_job_done
  stuck
  say "meetings was restored, and the main job is done again"
}

erased() { # last, for it takes the organisation away
  for service in tenant-connector user-auth meetings contacts storage mail recording-ingest; do
    service=$service page erase > "$made/said" 2>&1 && die "$service erased while connected"
    grep -qF "Disconnect it first" "$made/said" || { cat "$made/said" >&2; die "erase of $service does not say what to do first"; }
  done
  say "erase asks to disconnect first, in every service"
}
