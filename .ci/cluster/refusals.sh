# Sourced by chart.sh: what cannot be is refused with a sentence that names the value to mend, and nothing that runs is touched.

refused() { # <words of the sentence> <helm …>
  said=$made/said words=$1
  shift
  if "$@" > "$said" 2>&1; then die "this was not refused: $*"; fi
  grep -qF -- "$words" "$said" || { cat "$said" >&2; die "no word of: $words"; }
}

attempt() { # <install|upgrade> <release> [option …]
  verb=$1 name=$2
  shift 2
  helm "$verb" "$name" $chart --namespace $release --values "$made/values.yaml" --timeout 8m "$@"
}

query() { # <database> <statement>
  beside exec postgres -- psql -qtAX -v ON_ERROR_STOP=1 -U postgres -d "$1" -c "$2"
}

refuse_installs() {
  refused "/defaults/replicas" attempt install prospo --set defaults.replicas=many
  refused "secrets.microsoft names the Secret absent" attempt install prospo --set secrets.microsoft=absent
  # a migration that fails half-way: a later step finds its table taken
  taken=$(sed -n 's/.*CREATE TABLE \(IF NOT EXISTS \)\?\([a-z_]*\).*/\2/p' services/contacts/src/contacts/migrations/versions/*.py | tail -n 1)
  query contacts "CREATE TABLE $taken (of_somebody_else int)"
  refused "owner-uri in the Secret of secrets.database" attempt install prospo
  grep -qF "$taken" "$said" || { cat "$said" >&2; die "the table is not named"; }
  [ "$(query contacts "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'")" = "$taken" ] ||
    die "half a migration stayed"
  query contacts "DROP TABLE $taken"
  helm uninstall prospo --namespace $release > /dev/null
  there delete job,pod -l app.kubernetes.io/component=migrate --wait > /dev/null # Helm leaves a hook that failed to be read
  say "what cannot be is not installed"
}

running() { there get pods -l app.kubernetes.io/managed-by=Helm,app.kubernetes.io/component!=migrate -o \
  'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }

databases() { # how they are made, and how far they are migrated
  local name
  for name in $(query postgres "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' ORDER BY 1"); do
    beside exec postgres -- pg_dump --username=postgres --schema-only "$name" | grep -v 'restrict ' # pg_dump's own, another each time
    query "$name" "SELECT version_num FROM alembic_version"
  done
}

refuse_migration() { # of another build: its second step finds its name taken
  [ -n "${NEXT:-}" ] || { say "NEXT is not set: no image prospo-m365/meetings:next, so no migration fails on what runs"; return; }
  query meetings "CREATE TABLE of_somebody_else (one int); CREATE INDEX of_the_next_build ON of_somebody_else (one)"
  databases > "$made/stood"
  refused "owner-uri in the Secret of secrets.database" attempt upgrade prospo --set services.meetings.image.tag=next
  grep -qF of_the_next_build "$said" || { cat "$said" >&2; die "the name that is taken is not said"; }
  databases | cmp "$made/stood" - || die "half a migration stayed"
  query meetings "DROP TABLE of_somebody_else"
}

refuse_upgrades() {
  before=$(running)
  [ -n "$before" ] || die "nothing runs"
  services=$(there get secrets -o name | sed -n 's|^secret/\(.*\)-database$|\1|p')
  for service in $services; do
    there create secret generic "$service-gone" --from-literal=uri=postgresql://a:b@gone.$engines:5432/a --dry-run=client -o yaml \
      --from-literal=request-uri=postgresql://c:b@gone.$engines:5432/a --from-literal=owner-uri=postgresql://a:b@gone.$engines:5432/a | there apply -f - > /dev/null
  done
  refused "kafka.bootstrapServers" attempt upgrade prospo --set kafka.bootstrapServers=gone.$engines:9093
  refused "platform.issuer" attempt upgrade prospo --set platform.issuer=http://simulator.$engines:8367/prospo-issuer/
  refused "platform.jwksUrl" attempt upgrade prospo --set platform.jwksUrl=http://simulator.$engines:8367/nothing
  refused "secrets.database" attempt upgrade prospo --set-literal 'secrets.database={service}-gone'
  refused "secrets.microsoft names the Secret absent" attempt upgrade prospo --set secrets.microsoft=absent
  refused "/defaults/replicas" attempt upgrade prospo --set defaults.replicas=many
  refused "fullnameOverride" attempt install second
  refused "with which the release prospo works" attempt install second --set fullnameOverride=second
  refuse_migration
  [ "$(running)" = "$before" ] || { echo "$before"; running; die "a pod of the running release was touched"; }
  attempt upgrade prospo --wait > /dev/null # mended, it goes on
  for service in $services; do
    there delete secret "$service-gone" > /dev/null
  done
  say "what cannot be leaves the release as it is"
}
