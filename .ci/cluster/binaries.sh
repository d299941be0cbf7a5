#!/bin/sh
# Build Helm, what a Kubernetes node is made of, or metrics-server, once for these sources and this Go: prints the folder that holds it.
# usage: .ci/cluster/binaries.sh <folder kept between runs> helm|node|metrics
# With nothing there Helm takes three minutes of two cores, a node ten; a build that was interrupted goes on where it was.
set -eu
kept=$1 what=$2
cd "$(dirname "$0")/node"
command -v go > /dev/null || { echo "Go 1.26 builds $what (go.dev/doc/install); it is not on the path." >&2; exit 1; }
coredns=github.com/coredns/coredns@v1.13.1
policies=github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@v2.1.0
metrics=sigs.k8s.io/metrics-server/cmd/metrics-server@v0.8.0
case $what in
  helm) sources="go.mod go.sum" besides= ;;
  node) sources="go.mod go.sum main.go pause.c" besides="$coredns $policies" ;;
  metrics) sources=/dev/null besides=$metrics ;;
esac
# shellcheck disable=SC2086 # a list of files
key=$( { cat $sources; go version; echo "$besides"; } | sha256sum | cut -c1-16)
made=$kept/$what-$key
if [ ! -e "$made/complete" ]; then
  echo "building $what into $made: this takes a while" >&2
  mkdir -p "$made"
  export GOCACHE="$kept/go-build" GOMODCACHE="$kept/go-modules" GOBIN="$made" CGO_ENABLED=0 GOTOOLCHAIN=local
  export GOFLAGS="-p=2 -buildvcs=false -trimpath -modcacherw"
  if [ "$what" = helm ]; then
    go build -ldflags "-s -w" -o "$made/helm" helm.sh/helm/v4/cmd/helm
  elif [ "$what" = metrics ]; then
    go install -ldflags "-s -w" "$metrics"
  else
    version=$(sed -n 's/^\tk8s.io\/kubernetes \(v1\.[0-9.]*\)$/\1/p' go.mod)
    stamp=k8s.io/component-base/version
    minor=${version#v1.}
    go build -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" -o "$made/node" .
    go install -ldflags "-s -w" "$coredns"
    go install -ldflags "-s -w" "$policies"
    cc -static -Os -o "$made/pause" pause.c
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
      ln -sf node "$made/$name"
    done
  fi
  # nine gigabytes that nothing needs once the node is there; Helm is built first and of the same modules, metrics-server after it
  [ "$what" = helm ] || rm -rf "$GOCACHE" "$GOMODCACHE"
  touch "$made/complete"
  for old in "$kept/$what"-*; do
    [ "$old" = "$made" ] || rm -rf "$old"
  done
fi
echo "$made"
