# Sourced by the scripts beside it: images from Debian's packages, layers that exist are kept. DOCKER_HOST says where.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

debian() { # <suite>: the image debian:<suite>-slim, from packages when the engine does not have it
  docker image inspect "debian:$1-slim" >/dev/null 2>&1 && return
  echo "making debian:$1-slim"
  debootstrap --variant=minbase "$1" "$work/$1" > "$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
  rm -rf "$work/$1/var/cache/apt/archives"/*.deb "$work/$1/var/lib/apt/lists"/*
  tar -C "$work/$1" -c . | docker import - "debian:$1-slim" >/dev/null
  rm -rf "${work:?}/$1"
}

build() { # <name:tag> <folder> [option …]
  name=$1 folder=$2
  shift 2
  echo "making $name"
  DOCKER_BUILDKIT=0 docker build --network host -t "$name" "$@" "$folder" > "$work/log" 2>&1 || { tail -30 "$work/log" >&2; exit 1; }
}
