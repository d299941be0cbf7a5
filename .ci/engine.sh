# Sourced by .ci/run: a Docker engine of its own beside whatever runs here, its images kept between runs in $cache.
# Host networking only, so that no firewall rule or bridge of the machine is touched.

need() { # <command> <Debian package>: to be installed when it is missing
  command -v "$1" >/dev/null || missing="${missing:-} $2"
}

install_missing() {
  [ -n "${missing:-}" ] || return 0
  echo "installing$missing"
  n=0
  # shellcheck disable=SC2086 # a list of packages
  until { apt-get -o DPkg::Lock::Timeout=120 update && DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends $missing; } > "$work/apt.log" 2>&1; do
    n=$((n + 1)) # another apt-get may have emptied the folder of packages meanwhile
    [ "$n" -lt 3 ] || { tail -20 "$work/apt.log" >&2; return 1; }
    sleep 5
  done
}

start_engine() { # sets engine_pid and DOCKER_HOST
  stop_leftover
  dockerd --host "unix://$work/docker.sock" --data-root "$cache/engine" --exec-root "$work/exec" --pidfile "$cache/engine.pid" \
    --containerd-namespace prospo-ci --containerd-plugins-namespace prospo-ci-plugins \
    --bridge none --iptables=false --ip6tables=false > "$work/dockerd.log" 2>&1 9>&- &
  engine_pid=$!
  export DOCKER_HOST="unix://$work/docker.sock"
  n=0
  until docker version >/dev/null 2>&1; do
    n=$((n + 1))
    kill -0 "$engine_pid" 2>/dev/null && [ "$n" -lt 120 ] || { tail -20 "$work/dockerd.log" >&2; return 1; }
    sleep 0.5
  done
}

stop_leftover() { # an engine of a run that was killed; ours only if it keeps its data where we do
  left=$(cat "$cache/engine.pid" 2>/dev/null) || return 0
  if tr '\0' ' ' < "/proc/$left/cmdline" 2>/dev/null | grep -qF -- "--data-root $cache/engine "; then
    end "$left"
  fi
  rm -f "$cache/engine.pid"
}

stop_engine() {
  [ -n "${engine_pid:-}" ] || return 0
  containers=$(docker ps -aq 2>/dev/null) || true
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$containers" ] || docker rm -fv $containers >/dev/null 2>&1 || true
  end "$engine_pid"
  for mounted in "$work"/exec/netns/*; do
    [ ! -e "$mounted" ] || umount "$mounted" || true
  done
}

end() { # <pid>: ask, wait half a minute, then make it
  kill "$1" 2>/dev/null || return 0
  n=0
  while kill -0 "$1" 2>/dev/null; do
    n=$((n + 1))
    [ "$n" -lt 150 ] || kill -9 "$1" 2>/dev/null || true
    sleep 0.2
  done
}
