#!/bin/sh
# KAFKA_LOG_DIRS=/x becomes log.dirs=/x; then the folder is formatted once and the broker takes this process's place.
set -eu
properties=/tmp/server.properties
env | sed -n -e '/^KAFKA_HEAP_OPTS=/d' -e 's/^KAFKA_//p' | while IFS='=' read -r name value; do
  printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value"
done > "$properties"
grep -q '^log.dirs=' "$properties" || echo log.dirs=/tmp/kraft-combined-logs >> "$properties"
java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" \
  -c "$properties"
# shellcheck disable=SC2086 # several options in one variable
exec java ${KAFKA_HEAP_OPTS:--Xms128m -Xmx512m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
