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

asked_of() { # databases so far: name and transactions, single statements among them
  query postgres "SELECT datname || ' ' || xact_commit FROM pg_stat_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1"
}

at_rest() { # B9 and B10: from nothing to ready, and what every process takes while nothing happens
  sleep 20
  asked_of > "$made/asked-before"
  taken > "$made/taken-before"
  began_at=$(date +%s.%N)
  sleep 30
  asked_of > "$made/asked-after"
  spent=$(awk -v a="$began_at" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
  taken > "$made/taken-after"
  LC_ALL=C join "$made/asked-before" "$made/asked-after" | awk -v s="$spent" '{ r = ($3 - $2) / s; if (r > most) { most = r; name = $1 } }
    END { printf "chart: asked of a database at rest: %.2f a second at most, of %s\n", most, name; exit most > 2 }' || die "a service at rest asks too much"
  # the second look is about as long after the first in each pod
  LC_ALL=C join "$made/taken-before" "$made/taken-after" | awk -v s="$spent" '{ ticks += $5 - $3; if ($4 > most) { most = $4; name = $1 } if (!least || $4 < least) least = $4; count++ }
    END { printf "chart: %d processes at rest: %d to %d MB (the most: %s), %.1f s of processor a minute in all\n", count, least, most, name, ticks / 100 / s * 60 }'
  api=$(there get pods -l app.kubernetes.io/name=meetings,app.kubernetes.io/component=api -o name | head -n 1)
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
  there rollout status deployment/prospo-recording-ingest-worker --timeout=120s > /dev/null
}

imported() { # artefacts of the backlog
  query recording_ingest "SELECT count(*) FROM meeting_step WHERE what = 'imported' AND at > '$since'"
}

imported_more_than() { [ "$(imported)" -gt "$1" ]; }

a_second() { # imports a second, from now on for 8 s
  local from
  from=$(query recording_ingest "SELECT now()")
  sleep 8
  query recording_ingest "SELECT round(count(*) / extract(epoch FROM now() - '$from'), 2) FROM meeting_step WHERE what = 'imported' AND at > '$from'"
}

worked_off() { # every artefact is there, and once
  wait_until 600 "the backlog is worked off" imported_more_than $((waiting - 1))
  twice=$(query recording_ingest "SELECT details->>'artefact_id' FROM meeting_step WHERE what = 'imported' GROUP BY 1 HAVING count(*) > 1")
  [ -z "$twice" ] || die "imported twice: $twice"
  recordings=$(query recording_ingest "SELECT count(*) || ' ' || count(*) FROM artefact WHERE kind = 'recording' AND status = 'imported'")
  files=$(query storage "SELECT count(*) || ' ' || count(DISTINCT dedupe_key) FROM stored_file WHERE completed_at IS NOT NULL AND dedupe_key LIKE 'recording%'")
  [ "$recordings" = "$files" ] || die "recordings, and their files: $recordings, $files"
}

of_workers() { # <seconds of each answer of Microsoft> <meetings> <workers first> <and then>: imports a second by one and by two, and their ratio
  backlog "$2"
  at_microsoft "await microsoft.fault('slow', seconds=$1, times=None)"
  workers "$3"
  wait_until 120 "they are at work" imported_more_than 8
  sleep 2
  by[$3]=$(a_second)
  workers "$4"
  sleep 4
  by[$4]=$(a_second)
  [ "$(imported)" -lt "$waiting" ] || die "the backlog was worked off before the second look"
  at_microsoft "await microsoft.clear_faults()"
  worked_off
  ratio=$(awk -v one="${by[1]}" -v two="${by[2]}" 'BEGIN { printf "%.2f", two / one }')
  say "Microsoft takes $1 s: ${by[1]} imports a second by one worker, ${by[2]} by two, $ratio"
}

two_workers() { # B11; where it is Microsoft that is waited for, and not the processor, two do 1.7 of one
  of_workers 0.4 150 1 2
  of_workers 2 60 1 2
  first=$ratio
  of_workers 2 60 2 1
  attempt upgrade prospo --force-conflicts --wait > /dev/null
  awk -v a="$first" -v b="$ratio" 'BEGIN { exit (a + b) / 2 < 1.7 }' || die "two workers do not do 1.7 of what one does"
}

pods_of_ingest() { # <number>: so many workers are ready, and no more are wanted
  [ "$(there get deployment prospo-recording-ingest-worker -o 'jsonpath={.status.replicas} {.status.readyReplicas}')" = "$1 $1" ]
}

scaled_by_cpu() { # one worker becomes three while a backlog is worked off, and one again
  kubectl get apiservice v1beta1.metrics.k8s.io > /dev/null 2>&1 || { say "no metrics API is there, so scaled_by_cpu is left out"; return; }
  wait_until 120 "the metrics API answers" there top pods > /dev/null 2>&1
  # a target above what a worker takes at rest, and no five minutes before it is one again
  attempt upgrade prospo --set services.recordingIngest.worker.resources.requests.cpu=100m \
    --set services.recordingIngest.worker.autoscaling.scaleDownSeconds=15 --wait > /dev/null
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
  attempt upgrade prospo --force-conflicts --wait > /dev/null
}
