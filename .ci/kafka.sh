#!/bin/sh
# Start Apache Kafka from its published jars on a free loopback port; prints "<pid> <bootstrap servers>".
# usage: .ci/kafka.sh <folder for jars> <folder for data>
set -eu
jars=$1
data=$2
here=$(cd "$(dirname "$0")" && pwd)
command -v java >/dev/null || { echo "Kafka needs a Java runtime, 17 or newer." >&2; exit 1; }
if [ ! -e "$jars/complete" ]; then
  command -v mvn >/dev/null || { echo "Kafka's jars come through Maven, which is not installed." >&2; exit 1; }
  mkdir -p "$jars"
  mvn -q -B -f "$here/kafka-pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  touch "$jars/complete"
fi
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
broker=$(free_port)
controller=$(free_port)
mkdir -p "$data"
cat > "$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/log
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
PROPERTIES
id=$(java -cp "$jars/*" kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)
java -cp "$jars/*" kafka.tools.StorageTool format --standalone -t "$id" -c "$data/server.properties" >"$data/format.log" 2>&1
java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" kafka.Kafka "$data/server.properties" \
  >"$data/server.log" 2>&1 &
pid=$!
n=0
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $broker), 1).close()" 2>/dev/null; do
  n=$((n + 1))
  kill -0 "$pid" 2>/dev/null && [ "$n" -lt 240 ] || { tail -20 "$data/server.log" >&2; exit 1; }
  sleep 0.5
done
echo "$pid 127.0.0.1:$broker"
