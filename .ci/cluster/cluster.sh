# To be sourced: a Kubernetes node of its own, in namespaces and control groups of its own. $cache and $work are the caller's.
cluster_cgroup=/prospo-k8s-$$ # two runs with different caches may be at work at once

start_cluster() { # <folder of binaries>: sets cluster_pid and cluster_run
  stop_leftover_cluster
  cluster_run=$work/cluster
  cluster_state=$cache/cluster-state
  rm -rf --one-file-system "$cluster_state/etcd" "$cluster_state/kubelet"
  mkdir -p "$cluster_run/log" "$cluster_state"
  make_cgroups
  .ci/cluster/certificates.sh "$cluster_run/pki"
  # a session of its own: a signal for this run's group must not reach the components one by one
  setsid unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc --propagation private \
    .ci/cluster/node.sh "$1" "$cluster_run" "$cluster_state" "$cluster_cgroup" > "$cluster_run/log/node.log" 2>&1 9>&- &
  unshared=$!
  n=0
  until cluster_pid=$(pgrep -P "$unshared"); do
    n=$((n + 1))
    [ "$n" -lt 100 ] || { cat "$cluster_run/log/node.log" >&2; return 1; }
    sleep 0.1
  done
  echo "$cluster_pid $cluster_run $cluster_cgroup" > "$cache/cluster.pid"
  binaries=$1
  until_true 120 "the API server" inside kubectl get --raw /readyz
  until_true 120 "the node" inside kubectl wait --for=condition=Ready node/prospo --timeout=2s
  until_true 60 "the default account" inside kubectl get serviceaccount default
}

until_true() { # <seconds> <what> <command …>
  left=$(($1 * 2)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    left=$((left - 1))
    kill -0 "$cluster_pid" 2> /dev/null && [ "$left" -gt 0 ] || { echo "$what did not come up" >&2; tail -n 15 "$cluster_run"/log/*.log >&2; return 1; }
    sleep 0.5
  done
}

inside() { # <command …> in the node's namespaces: nothing else leads there
  nsenter -t "$cluster_pid" --wdns="$PWD" --net --mount --pid --ipc --uts env \
    KUBECONFIG="$cluster_run/pki/admin.conf" PATH="$binaries:$PATH" "$@"
}

import_images() { # <image …> from the engine into the node, whose store is kept between runs
  known=$(inside ctr -a "$cluster_run/containerd.sock" -n k8s.io content ls -q) wanted=''
  for image; do
    id=$(docker image inspect -f '{{.Id}}' "$image")
    echo "$image $id"
    case $known in *"$id"*) grep -qxF "$image $id" "$cluster_state/imported" 2> /dev/null && continue ;; esac
    wanted="$wanted $image"
  done > "$work/imported"
  # shellcheck disable=SC2086 # a list of images
  [ -z "$wanted" ] || docker save $wanted | inside ctr -a "$cluster_run/containerd.sock" -n k8s.io images import - > /dev/null
  mv "$work/imported" "$cluster_state/imported"
}

make_cgroups() { # version 1 has a tree for each controller, version 2 one tree
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup$cluster_cgroup"
    return
  fi
  for tree in cpu cpuacct cpuset memory devices freezer blkio pids hugetlb perf_event net_cls net_prio systemd; do
    [ ! -d "/sys/fs/cgroup/$tree" ] || mkdir -p "/sys/fs/cgroup/$tree$cluster_cgroup"
  done
  for file in cpus mems; do # a new set has none, and nothing can run in it
    cat "/sys/fs/cgroup/cpuset/cpuset.$file" > "/sys/fs/cgroup/cpuset$cluster_cgroup/cpuset.$file"
  done
}

stop_leftover_cluster() { # of a run that was killed; ours only if its first process is the script here, on that run's folder
  [ -e "$cache/cluster.pid" ] || return 0
  read -r left run cgroup < "$cache/cluster.pid" || true
  if tr '\0' ' ' < "/proc/$left/cmdline" 2> /dev/null | grep -qF -- "/node.sh $cache/" && grep -qF "$run" "/proc/$left/cmdline"; then
    echo "ending the Kubernetes node of a run that was killed"
    end_first_process "$left"
  fi
  case $cgroup in /prospo-k8s-*) remove_cgroups "$cgroup" ;; esac
  case $run in */cluster) [ ! -e "$run/pki/admin.conf" ] || rm -rf --one-file-system "$run" ;; esac
  rm -f "$cache/cluster.pid"
}

stop_cluster() { # ends the first process, and with it every other and every mount
  [ -n "${cluster_pid:-}" ] || return 0
  end_first_process "$cluster_pid"
  cluster_pid=
  remove_cgroups "$cluster_cgroup"
  rm -f "$cache/cluster.pid"
}

end_first_process() {
  kill -9 "$1" 2> /dev/null || true
  n=0
  while kill -0 "$1" 2> /dev/null && [ "$n" -lt 100 ]; do
    n=$((n + 1))
    sleep 0.1
  done
}

remove_cgroups() { # <name>: they are empty a moment after the last process
  n=0
  while [ -n "$(find /sys/fs/cgroup -maxdepth 2 -type d -path "*$1")" ] && [ "$n" -lt 50 ]; do
    find /sys/fs/cgroup -depth -type d \( -path "*$1" -o -path "*$1/*" \) -exec rmdir {} + 2> /dev/null || true
    n=$((n + 1))
    sleep 0.2
  done
}
