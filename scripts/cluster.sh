#!/bin/sh
# Runs a cluster of three nodes with the sample orchestrations on this machine, on
# fixed ports, from the built binary, until Ctrl-C. Copy it and change what you
# need: on three machines, each runs one of the three commands with addresses of
# its own (and with TLS and a gossip key, see "reprise help server").
#
#   go build -o reprise ./cmd/reprise
#   scripts/cluster.sh [path of the binary] [data directory]
#
# The same data directory continues the cluster. Then, in another terminal:
#
#   ./reprise start hello --input '["Tokyo","Seattle"]' --wait
#   ./reprise cluster
set -eu
reprise=${1:-./reprise}
data=${2:-./cluster-data}
mkdir -p "$data"

# Every node knows where the others gossip, in case it starts alone.
join=127.0.0.1:4003,127.0.0.1:4013,127.0.0.1:4023

# Stop all nodes when this script ends, in good order.
nodes=
stop() {
  trap "" INT TERM
  trap - EXIT
  kill $nodes 2>/dev/null || : # some may have ended
  wait
  exit
}
trap stop INT TERM EXIT

"$reprise" server --name n1 --data-dir "$data/n1" \
  --api-addr 127.0.0.1:4001 --peer-addr 127.0.0.1:4002 --gossip-addr 127.0.0.1:4003 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n1.log" &
n1=$!
"$reprise" server --name n2 --data-dir "$data/n2" \
  --api-addr 127.0.0.1:4011 --peer-addr 127.0.0.1:4012 --gossip-addr 127.0.0.1:4013 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n2.log" &
n2=$!
"$reprise" server --name n3 --data-dir "$data/n3" \
  --api-addr 127.0.0.1:4021 --peer-addr 127.0.0.1:4022 --gossip-addr 127.0.0.1:4023 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n3.log" &
n3=$!
nodes="$n1 $n2 $n3"

echo "logs are in $data/n1.log, n2.log and n3.log; Ctrl-C stops the cluster"

# A node that ends by itself is told; the others go on.
while [ -n "$nodes" ]; do
  sleep 1 &
  wait $! || :
  left=
  for node in $nodes; do
    if kill -0 "$node" 2>/dev/null; then
      left="$left $node"
      continue
    fi
    case $node in "$n1") name=n1 ;; "$n2") name=n2 ;; *) name=n3 ;; esac
    echo "node $name has ended; $data/$name.log ends with:" >&2
    tail -n 3 "$data/$name.log" >&2
  done
  nodes=$left
done
exit 1
