# shellcheck shell=bash disable=SC2154 # sourced by chart.sh, whose names it uses
# Benchmarks B9 to B11 on the cluster, and autoscaling by CPU. Each says its figures; what is promised fails the phase.

once() { # the main job, undisturbed: the organisation and Anna are connected from now on
  begin_main_job
  main_job_done
}

taken() { # by each pod of a service so far: its name, megabytes of memory, ticks of the processor
  for pod in $(there get pods -l app.kubernetes.io/component!=migrate --field-selector=status.phase=Running -o name | grep -v console); do
    # shellcheck disable=SC2016 # the container's shell reads it
    there exec "$pod" -- python -c '
import sys
memory = next(line.split()[1] for line in open("/proc/1/status") if line.startswith("VmRSS"))
ticks = open("/proc/1/stat").read().rpartition(") ")[2].split()[11:13]
print(sys.argv[1], round(int(memory) / 1024), sum(map(int, ticks)))' "${pod#pod/}"
  done
}

libraries() { # <pod>: megabytes that a process takes which has only imported what every service imports
  there exec "$1" -- python -c '
import aiokafka, asyncpg, cryptography.x509, fastapi, httpx, opentelemetry.sdk.trace, sqlmodel, uvicorn
memory = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(round(int(memory) / 1024))'
}

asked_of() { # databases so far: name and transactions, single statements among them
  query postgres "SELECT datname || ' ' || xact_commit FROM pg_stat_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1"
}

set_again() { # [option …]: the values as they are, and these; the databases are migrated already
  attempt upgrade prospo --no-hooks --force-conflicts --wait "$@" > /dev/null
}

unhurried() { # [option …]: Microsoft is looked at as seldom as in use; elsewhere here every five seconds, so that no main job waits for a look
  set_again --set-string platform.settings.PROSPO_RECONCILE_INTERVAL_S=900 \
    --set-string platform.settings.PROSPO_RECONCILE_EARLY_INTERVAL_S=21600 "$@"
  wait_until 120 "the pods before it are gone" none_stops
}

none_stops() { [ -z "$(there get pods -o 'jsonpath={.items[*].metadata.deletionTimestamp}')" ]; }

idle() { # no job is due or runs, and no event waits, in any service
  local name
  for name in $(there get secrets -o name | sed -n 's|^secret/\(.*\)-database$|\1|p'); do
    [ "$(query "$(printf %s "$name" | tr - _)" "SELECT (SELECT count(*) FROM outbox)
      + (SELECT count(*) FROM job WHERE state = 'running' OR state = 'waiting' AND run_at < now() + interval '1 s')")" = 0 ] || return 1
  done
}

at_rest() { # B9 and B10: from nothing to ready, and what every process takes while nothing happens
  unhurried --set services.recordingIngest.worker.replicas=1
  wait_until 180 "nothing is left to do" idle
  asked_of > "$made/asked-before"
  taken > "$made/taken-before"
  began_at=$(date +%s.%N)
  sleep 60
  asked_of > "$made/asked-after"
  spent=$(awk -v a="$began_at" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
  taken > "$made/taken-after"
  LC_ALL=C join "$made/asked-before" "$made/asked-after" | awk -v s="$spent" '{ r = ($3 - $2) / s; if (r > most) { most = r; name = $1 } }
    END { printf "chart: asked of a database at rest: %.2f a second at most, of %s\n", most, name; exit most > 2 }' || die "a service at rest asks too much"
  # the second look is about as long after the first in each pod
  api=$(there get pods -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=api -o 'jsonpath={.items[0].metadata.name}')
  # twice what is promised of the processor, for a busy machine makes it more
  LC_ALL=C join "$made/taken-before" "$made/taken-after" | awk -v s="$spent" -v floor="$(libraries "$api")" '
    { ticks += $5 - $3; if ($4 > most) { most = $4; name = $1 } if (!least || $4 < least) least = $4; count++ }
    END { processor = ticks / 100 / s * 60
      printf "chart: %d processes at rest: %d to %d MB (the most: %s), the libraries alone %d; %.1f s of processor a minute in all\n", count, least, most, name, floor, processor
      exit most - floor > 36 || processor > 6 }' || die "a process at rest takes too much"
  ready=''
  for _ in 1 2 3; do ready="$ready $(there exec -i "$api" -- python - < .ci/cluster/cold_start.py)"; done
  say "an API of meetings was ready after$ready s"
}

backlog() { # <meetings>: two artefacts of each wait, for no worker takes them
  service=recording-ingest page stop-workers > /dev/null
  since=$(query recording_ingest "SELECT now()")
  beside exec -i simulator -- python - "http://gateway.$engines:8365" http://127.0.0.1:8367 "$1" < .ci/cluster/backlog.py
  waiting=$((2 * $1))
}

workers() { # <number> of the ingestion, ready
  there scale deployment/prospo-recording-ingest-worker --replicas="$1" > /dev/null
  there rollout status deployment/prospo-recording-ingest-worker --timeout=300s > /dev/null
}

imported() { # artefacts of the backlog
  query recording_ingest "SELECT count(*) FROM meeting_step WHERE what = 'imported' AND at > '$since'"
}

imported_more_than() { [ "$(imported)" -gt "$1" ]; }

a_second() { # imports a second of the backlog that is worked off: from a tenth of it to nine tenths, while every worker is at work
  query recording_ingest "SELECT round(count(*) * 0.8 / extract(epoch FROM percentile_disc(0.9) WITHIN GROUP (ORDER BY at) -
    percentile_disc(0.1) WITHIN GROUP (ORDER BY at)), 2) FROM meeting_step WHERE what = 'imported' AND at > '$since'"
}

worked_off() { # every artefact is there, and once
  wait_until 600 "the backlog is worked off" imported_more_than $((waiting - 1))
  twice=$(query recording_ingest "SELECT details->>'artefact_id' FROM meeting_step WHERE what = 'imported' GROUP BY 1 HAVING count(*) > 1")
  [ -z "$twice" ] || die "imported twice: $twice"
  recordings=$(query recording_ingest "SELECT count(*) || ' ' || count(*) FROM artefact WHERE kind = 'recording' AND status = 'imported'")
  files=$(query storage "SELECT count(*) || ' ' || count(DISTINCT dedupe_key) FROM stored_file WHERE completed_at IS NOT NULL AND dedupe_key LIKE 'recording%'")
  [ "$recordings" = "$files" ] || die "recordings, and their files: $recordings, $files"
}

idle_share() { # of all cores of the node, in percent, since <ticks of all> <ticks of rest>; both so far without them
  there exec deployment/prospo-meetings -- cat /proc/stat | awk -v all="${1:-0}" -v rest="${2:-0}" -v since="$#" '/^cpu / {
    for (i = 2; i <= 9; i++) sum += $i
    if (since) printf "%d\n", ($5 + $6 - rest) / (sum - all) * 100; else print sum, $5 + $6 }'
}

by_workers() { # <seconds of each answer of Microsoft> <meetings> <workers …>: imports a second by so many of them, one after another, into one and two
  local seconds=$1 meetings=$2 number
  shift 2
  one='' two=''
  for number; do
    backlog "$meetings"
    at_microsoft "await microsoft.fault('slow', seconds=$seconds, times=None)"
    workers "$number"
    so_far=$(idle_share)
    wait_until 600 "nine tenths are there" imported_more_than $((waiting * 9 / 10))
    # shellcheck disable=SC2086 # two numbers
    rest=$(idle_share $so_far)
    worked_off
    at_microsoft "await microsoft.clear_faults()"
    if [ "$number" = 1 ]; then one="$one $(a_second)"; else two="$two $(a_second)" idle_by_two=$rest; fi
  done
  ratio=$(awk -v one="$one" -v two="$two" 'function sum(list, n, i, all) { n = split(list, of, " "); for (i = 1; i <= n; i++) all += of[i]; return all }
    BEGIN { printf "%.2f", sum(two) / sum(one) }')
  say "Microsoft takes $seconds s:$one imports a second by one worker,$two by two, $ratio; by two the cores rest $idle_by_two % of the time"
}

two_workers() { # B11: two do 1.7 of one. At 0.4 s they may do less where no core has anything left to give
  unhurried
  by_workers 0.4 40 1 2
  awk -v a="$ratio" -v rest="$idle_by_two" 'BEGIN { exit a < 1.7 && rest > 15 }' || die "two workers do not do 1.7 of what one does, and the cores rest"
  by_workers 2 40 2 1
  awk -v a="$ratio" 'BEGIN { exit a < 1.7 }' || die "two workers do not do 1.7 of what one does"
  set_again
}

pods_of_ingest() { # <number>: so many workers are ready, and no more are wanted
  [ "$(there get deployment prospo-recording-ingest-worker -o 'jsonpath={.status.replicas} {.status.readyReplicas}')" = "$1 $1" ]
}

scaled_by_cpu() { # one worker becomes three while a backlog is worked off, and one again
  kubectl get apiservice v1beta1.metrics.k8s.io > /dev/null 2>&1 || { say "no metrics API is there, so scaled_by_cpu is left out"; return; }
  wait_until 120 "the metrics API answers" there top pods > /dev/null 2>&1
  # a target above what a worker takes at rest, and no five minutes before it is one again
  set_again --set services.recordingIngest.worker.resources.requests.cpu=100m \
    --set services.recordingIngest.worker.autoscaling.scaleDownSeconds=15
  page scale-by-cpu > /dev/null
  wait_until 180 "one worker is enough at rest" pods_of_ingest 1
  at_microsoft "await microsoft.recording_size(64 * 1024 * 1024)"
  backlog 40
  workers 1
  from=$(date +%s)
  wait_until 300 "three workers are at work" pods_of_ingest 3
  up=$(($(date +%s) - from)) left=$((waiting - $(imported)))
  [ "$left" -gt 0 ] || die "the backlog was worked off before three workers were there"
  worked_off
  done=$(($(date +%s) - from))
  wait_until 300 "one worker is left" pods_of_ingest 1
  at_microsoft "await microsoft.recording_size(None)"
  say "three workers after $up s with $left of $waiting left, all done after $done s, one worker after $(($(date +%s) - from)) s"
  set_again
}
