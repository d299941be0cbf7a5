# To be sourced where an engine and $PROSPO_HELM are: the chart on a node of our own, which is ended before anything else runs.
run_cluster_stage() {
  node=$(.ci/cluster/binaries.sh "$cache" node)
  .ci/cluster/images.sh "$node"
  echo "starting a Kubernetes node"
  start_cluster "$node"
  # shellcheck disable=SC2046 # a list of images
  import_images prospo.test/pause:1 prospo.test/coredns:1 postgres:17 apache/kafka:4.3.1 envoyproxy/envoy:v1.40.0 \
    $(docker images --format '{{.Repository}}:{{.Tag}}' 'prospo-m365/*:test')
  inside kubectl apply -f .ci/cluster/dns.yaml > /dev/null
  inside kubectl -n kube-system rollout status deployment/coredns --timeout=120s > /dev/null
  mkdir -p "$cluster_run/files"
  chmod 0777 "$cluster_run/files"
  inside env FILES="$cluster_run/files" PATH="$(dirname "$PROSPO_HELM"):$node:$PATH" .ci/cluster/chart.sh
  stop_cluster
}
