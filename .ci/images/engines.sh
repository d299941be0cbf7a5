#!/bin/sh
# Build the engines' images under the names the tests ask for, from Debian's packages and Kafka's published jars.
# usage: .ci/images/engines.sh <folder for jars>
set -eu
jars=$1
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian.sh"
if [ ! -e "$jars/complete" ]; then
  mkdir -p "$jars"
  mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  touch "$jars/complete"
fi
debian trixie
build postgres:17 "$here/postgres"
mkdir -p "$work/kafka/libs"
cp "$here/kafka/Dockerfile" "$here/kafka/run.sh" "$work/kafka"
cp -p "$jars"/*.jar "$work/kafka/libs"
build apache/kafka:4.3.1 "$work/kafka"
