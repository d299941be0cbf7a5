#!/bin/bash
# First process of the node's namespaces: starts every component, starts again what ends, and reaps what pods leave.
# Nothing here reaches the machine's network: no route and no link leads out of the namespaces.
set -u
binaries=$1 run=$2 state=$3 parent=$4
pki=$run/pki log=$run/log
export PATH=$binaries:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
mount --make-rshared /
hostname prospo
ip link set lo up
ip link add node0 type veth peer name node1 && ip addr add 198.18.255.1/32 dev node0 && ip link set node1 up && ip link set node0 up
ip route add default dev node0
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 # the bridge shows pods' packets to the policies
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.node0.rp_filter=0
: > "$run/resolv.conf"

start() { # <name> <command …>
  name=$1
  shift
  { while :; do "$@" >> "$log/$name.log" 2>&1; echo "$name ended: $?" >> "$log/ended.log"; sleep 1; done; } &
}
after_node() { # <command …>: it ends at once when the node is not registered yet
  until kubectl --kubeconfig="$pki/admin.conf" get node prospo > /dev/null 2>&1; do sleep 0.3; done
  "$@"
}

etcd=http://127.0.0.1:2379
start etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --listen-client-urls $etcd --advertise-client-urls $etcd --log-level warn \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
start apiserver kube-apiserver --etcd-servers=$etcd --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=198.18.255.1 \
  --service-cluster-ip-range=198.19.0.0/24 --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
  --service-account-key-file="$pki/sa.key" --service-account-signing-key-file="$pki/sa.key" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
  --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" --enable-aggregator-routing=true

cat > "$run/containerd.toml" <<C
version = 2
root = "$state/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "prospo.test/pause:1"
  restrict_oom_score_adj = true # root here may not make a process dearer than itself
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$run/cni"
C
mkdir -p "$run/containerd" "$state/containerd" "$run/cni"
cat > "$run/cni/10-bridge.conflist" <<C
{"cniVersion": "0.4.0", "name": "prospo", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "$run/ipam",
   "ranges": [[{"subnet": "198.18.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
start containerd containerd -c "$run/containerd.toml"
cat > "$run/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: $parent
containerRuntimeEndpoint: unix://$run/containerd.sock
clusterDNS: [198.19.0.10]
clusterDomain: cluster.local
resolvConf: $run/resolv.conf
podLogsDir: $run/podlogs
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-server.crt
tlsPrivateKeyFile: $pki/kubelet-server.key
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
C
# before the API server has made its roles the controller manager ends
until kubectl --kubeconfig="$pki/admin.conf" get --raw /readyz > /dev/null 2>&1; do sleep 0.2; done
start manager kube-controller-manager --kubeconfig="$pki/manager.conf" --authentication-kubeconfig="$pki/manager.conf" --authorization-kubeconfig="$pki/manager.conf" \
  --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1
start scheduler kube-scheduler --kubeconfig="$pki/scheduler.conf" --authentication-kubeconfig="$pki/scheduler.conf" --authorization-kubeconfig="$pki/scheduler.conf" \
  --leader-elect=false --bind-address=127.0.0.1
until [ -S "$run/containerd.sock" ]; do sleep 0.1; done
start kubelet kubelet --config="$run/kubelet.yaml" --kubeconfig="$pki/kubelet.conf" --root-dir="$state/kubelet" --hostname-override=prospo --node-ip=198.18.255.1
cat > "$run/proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 198.18.0.0/24
hostnameOverride: prospo
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: {kubeconfig: $pki/proxy.conf}
conntrack: {maxPerCore: 0}
C
start proxy kube-proxy --config="$run/proxy.yaml"
# network policies only; the bridge plugin enforces none
NODE_NAME=prospo start policies after_node kube-router --kubeconfig="$pki/admin.conf" --run-router=false --run-service-proxy=false --run-firewall=true \
  --hostname-override=prospo --service-cluster-ip-range=198.19.0.0/24 --iptables-sync-period=30s --health-port=20244 --metrics-port=0
while :; do wait -n 2> /dev/null || sleep 0.5; done
