#!/bin/sh
# Build the engines' images under the names the tests ask for, from Debian's packages and Kafka's published jars.
# usage: .ci/images/build.sh <folder for jars>     (DOCKER_HOST says which engine; layers that exist are kept)
set -eu
jars=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

debian() { # <suite>: the image debian:<suite>-slim, from packages when the engine does not have it
  docker image inspect "debian:$1-slim" >/dev/null 2>&1 && return
  echo "making debian:$1-slim"
  debootstrap --variant=minbase "$1" "$work/$1" > "$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work/$1/var/cache/apt/archives"/*.deb "$work/$1/var/lib/apt/lists"/*
  tar -C "$work/$1" -c . | docker import - "debian:$1-slim" >/dev/null
  rm -rf "${work:?}/$1"
}

if [ ! -e "$jars/complete" ]; then
  mkdir -p "$jars"
  mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  touch "$jars/complete"
fi
build() { # <name:tag> <folder>
  echo "making $1"
  DOCKER_BUILDKIT=0 docker build --network host -t "$1" "$2" > "$work/build.log" 2>&1 || { tail -30 "$work/build.log" >&2; exit 1; }
}
debian trixie
build postgres:17 "$here/postgres"
mkdir -p "$work/kafka/libs"
cp "$here/kafka/Dockerfile" "$here/kafka/run.sh" "$work/kafka"
cp -p "$jars"/*.jar "$work/kafka/libs"
build apache/kafka:4.3.1 "$work/kafka"
