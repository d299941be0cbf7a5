# shellcheck shell=bash disable=SC2154 # sourced by chart.sh, whose names it uses
# What is run before a release and takes longer than the stage: make chart-test-long. Commands of docs/how-to/operate.md come from the page.

page() { # <name>: the commands of the operations guide under this name, as they stand there, in the folder of this run
  $python -m dev.pages docs/how-to/operate.md "$1" > "$made/command"
  env -C "$made" namespace=$release release=prospo chart="$PWD/$chart" values="$made/values.yaml" service="${service:-}" bash -euo pipefail "$made/command"
}

at_microsoft() { # <statement> with `microsoft`, a client of the simulator
  beside exec simulator -- python -c "
import asyncio
from m365_simulator.client import SimulatorClient
async def main():
    async with SimulatorClient('http://127.0.0.1:8367') as microsoft:
        $1
asyncio.run(main())"
}

holders() { # the pods of workers of recording-ingest
  there get pods -l app.kubernetes.io/name=recording-ingest,app.kubernetes.io/component=worker -o 'jsonpath={.items[*].metadata.name}'
}

transfer_begun() { # of a file of this size; `moved` is what storage has of it
  moved=$(query storage "SELECT received_bytes FROM stored_file WHERE size_bytes = $1 AND completed_at IS NULL AND received_bytes > 0")
  [ -n "$moved" ]
}

evict() { # <pod>, as soon as the budget lets it
  kubectl create --raw "/api/v1/namespaces/$release/pods/$1/eviction" -f - > "$made/said" 2>&1 << Y && return
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$release"}}
Y
  grep -qF "disruption budget" "$made/said" || { cat "$made/said" >&2; die "$1 was not evicted"; }
  return 1
}

evicted() { # in the middle of a transfer each worker is evicted through the API, one after another as the budget lets it
  size=$((600 * 1024 * 1024))
  at_microsoft "await microsoft.recording_size($size)"
  begin_main_job
  wait_until 300 "a recording is on its way" transfer_begun $size
  for pod in $(holders); do
    wait_until 120 "the budget lets $pod go" evict "$pod"
  done
  main_job_done
  at_microsoft "read = [row['range'] for row in await microsoft.calls() if row['path'] == '/download/{link}' and row['status'] in (200, 206)]
        await microsoft.recording_size(None)
        starts = [int(one.removeprefix('bytes=').rstrip('-')) if one else 0 for one in read]
        own = starts[len(starts) - starts[::-1].index(0) - 1:]
        print(*own)
        assert len(own) > 1, 'no worker handed over'
        assert own == sorted(set(own)), 'a range below a hand-over was read again'
        assert own[1] >= $moved, 'less was kept than storage had'" > "$made/ranges" 2>&1 ||
    { cat "$made/ranges" >&2; die "the hand-over was not at the byte"; }
  say "evicted workers handed over at the bytes $(tail -n 1 "$made/ranges")"
}

killed_at_random() { # for a minute and more a pod of each kind dies, in any order; one of each in the end, which the demo counts
  asked
  begin_main_job
  until=$(($(date +%s) + 60)) count=0
  kind='{.metadata.labels.app\.kubernetes\.io/name},app.kubernetes.io/component={.metadata.labels.app\.kubernetes\.io/component}'
  while [ "$(date +%s)" -lt "$until" ]; do
    for one in $(there get deployments -o "jsonpath={range .items[*]}$kind{\"\n\"}{end}" | shuf); do
      pod=$(there get pods -l "app.kubernetes.io/name=$one" -o name | shuf -n 1)
      [ -z "$pod" ] || there delete "$pod" --grace-period=0 --force --wait=false > /dev/null 2>&1 || true
      count=$((count + 1))
      [ -z "$(beside get job demo -o 'jsonpath={.status.succeeded}')" ] || { main_job_done; begin_main_job; }
      sleep 2
    done
  done
  spent=$(($(date +%s) - until + 60))
  main_job_done
  there rollout status deployment --timeout=180s > /dev/null
  stuck
  beside exec job/asking -- touch /tmp/enough # a pod that is killed answers nobody: these requests are not promised an answer
  say "$count pods were killed in $spent s"
}

stuck() { # nothing failed for good or waits for somebody, in any service
  for name in $(there get secrets -o name | sed -n 's|^secret/\(.*\)-database$|\1|p'); do
    found=$(query "$(printf %s "$name" | tr - _)" "SELECT kind FROM job WHERE state = 'failed' UNION ALL SELECT topic FROM parked_record
      UNION ALL SELECT topic FROM outbox WHERE parked_at IS NOT NULL")
    [ -z "$found" ] || die "$name: $found"
  done
}

restarts() { # of <engine> so far
  beside get pod "$1" -o 'jsonpath={.status.containerStatuses[0].restartCount}'
}

restarted() { [ "$(restarts "$1")" -gt "$2" ]; }

engines_restarted() { # PostgreSQL's container and then Kafka's end under load; their files stay
  asked
  begin_main_job
  wait_until 120 "Anna is being connected" reached "connects her Microsoft account"
  for engine in postgres kafka; do
    before=$(restarts $engine)
    # it ends while this is asked, so the answer may never come
    timeout 10 kubectl -n $engines exec $engine -- sh -c 'kill -INT 1' > /dev/null 2>&1 || true
    wait_until 120 "$engine is started again" restarted $engine "$before"
    beside wait --for=condition=Ready pod/$engine --timeout=120s > /dev/null
    there rollout status deployment --timeout=180s > /dev/null # every pod is ready with it
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
  set_again $two
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

recorded() { # meetings whose record has its recording
  query meetings "SELECT count(*) FROM meeting WHERE recording->>'status' = 'imported'"
}

told_anew() { # the meeting of the copy, with a version above the one that recording-ingest knew, and its recording
  [ "$(query recording_ingest "SELECT count(*) FROM ledger_meeting WHERE meeting_version > 1000000")" -gt 0 ] && [ "$(recorded)" -gt "$1" ]
}

restored() { # meetings, with Kafka's own program, to a moment before a recording arrived; the other services go on
  service=meetings
  main_job_held
  wait_until 120 "the meeting is scheduled" reached "The meeting takes place"
  backup=$($python -m dev.pages docs/how-to/operate.md backup)
  beside exec postgres -- sh -ec "cd /tmp; export PGUSER=postgres database=meetings; $backup"
  before=$(query meetings "SELECT count(*) FROM meeting") had=$(recorded)
  let_go
  main_job_done
  page stop > /dev/null
  restore=$($python -m dev.pages docs/how-to/operate.md restore)
  raise=$($python -m dev.pages docs/how-to/operate.md raise-versions)
  beside exec postgres -- sh -ec "cd /tmp; export PGUSER=postgres database=meetings service=meetings; $restore
$raise"
  [ "$(query meetings "SELECT count(*) FROM meeting")" = "$before" ] || die "the copy has other meetings"
  [ "$(recorded)" = "$had" ] || die "the copy is of a later moment"
  again=$($python -m dev.pages docs/how-to/operate.md read-again)
  time=$(beside exec postgres -- cat /tmp/meetings.time)
  beside exec kafka -- bash -ec "mkdir -p /tmp/bin && cd /tmp
    printf '#!/bin/sh\nexec java -cp \"/opt/kafka/libs/*\" org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \"\$@\"\n' > bin/kafka-consumer-groups.sh
    chmod +x bin/kafka-consumer-groups.sh
    export PATH=/tmp/bin:\$PATH database=meetings service=meetings bootstrap=kafka.$engines:9092
    echo '$time' > meetings.time; : > client.properties
    $again" > "$made/offsets"
  page start > /dev/null
  wait_until 120 "what happened after the copy is told to meetings again, and the copy to others" told_anew "$had"
  begin_main_job
  main_job_done
  stuck
  query postgres "DROP DATABASE meetings_before" # as the page says when all is well
  say "meetings was restored, heard again what it had missed, and the main job is done again"
}

erase() { # <service>: the report is in $made/report
  service=$1 page erase > "$made/report" 2> "$made/said"
}

nothing_to_erase() {
  erase "$1" && $python -c 'import json, sys; report = json.load(sys.stdin); sys.exit(bool(report["erased"] or report["pseudonymised"]))' < "$made/report"
}

erased() { # last, for it takes the organisation away
  order="tenant-connector user-auth meetings contacts storage mail recording-ingest"
  for name in $order; do
    if erase "$name"; then die "$name erased while connected"; fi
    grep -qF "Disconnect it first" "$made/said" || { cat "$made/said" >&2; die "erase of $name does not say what to do first"; }
  done
  say "erase asks to disconnect first, in every service"
  at_microsoft "import httpx
        asks = {'Authorization': f'Bearer {await microsoft.prospo_token(\"acme-admin\")}'}
        httpx.delete('http://gateway.$engines:8365/v1/tenant', headers=asks).raise_for_status()"
  for name in $order; do
    wait_until 660 "$name erases what is disconnected" erase "$name"
    say "$name has erased it"
  done
  for name in $order; do
    wait_until 120 "nothing is left to erase in $name" nothing_to_erase "$name"
  done
  say "nothing is left to erase, in every service"
}
