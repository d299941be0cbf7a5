#!/bin/bash
# Certificates and kubeconfigs of one node, good for a month. usage: certificates.sh <folder>
set -euo pipefail
mkdir -p "$1"
cd "$1"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -days 30 -subj /CN=prospo-ca 2> /dev/null
openssl genrsa -out sa.key 2048 2> /dev/null
certificate() { # <file> <subject> [names]
  openssl req "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "$2" 2> /dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
    -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth"; [ -z "${3:-}" ] || echo "subjectAltName=$3") 2> /dev/null
}
user() { # <file> <subject>
  certificate "$1" "$2"
  cat > "$1.conf" <<C
apiVersion: v1
kind: Config
clusters: [{name: p, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $PWD/ca.crt}}]
users: [{name: p, user: {client-certificate: $PWD/$1.crt, client-key: $PWD/$1.key}}]
contexts: [{name: p, context: {cluster: p, user: p}}]
current-context: p
C
}
within=kubernetes.default.svc.cluster.local
certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:$within,IP:127.0.0.1,IP:198.19.0.1,IP:198.18.255.1"
certificate kubelet-server /CN=prospo "DNS:prospo,IP:198.18.255.1"
certificate kubelet-client /O=system:masters/CN=apiserver-kubelet
certificate front-proxy /CN=front-proxy-client
user admin /O=system:masters/CN=admin
user manager /CN=system:kube-controller-manager
user scheduler /CN=system:kube-scheduler
user kubelet /O=system:nodes/CN=system:node:prospo
user proxy /CN=system:kube-proxy
