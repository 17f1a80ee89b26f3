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
trap 'trap "" INT TERM; trap - EXIT; kill $nodes 2>/dev/null; wait' INT TERM EXIT

"$reprise" server --name n1 --data-dir "$data/n1" \
  --api-addr 127.0.0.1:4001 --peer-addr 127.0.0.1:4002 --gossip-addr 127.0.0.1:4003 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n1.log" &
nodes="$nodes $!"
"$reprise" server --name n2 --data-dir "$data/n2" \
  --api-addr 127.0.0.1:4011 --peer-addr 127.0.0.1:4012 --gossip-addr 127.0.0.1:4013 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n2.log" &
nodes="$nodes $!"
"$reprise" server --name n3 --data-dir "$data/n3" \
  --api-addr 127.0.0.1:4021 --peer-addr 127.0.0.1:4022 --gossip-addr 127.0.0.1:4023 \
  --join "$join" --bootstrap-expect 3 --samples 2>"$data/n3.log" &
nodes="$nodes $!"

echo "logs are in $data/n1.log, n2.log and n3.log; Ctrl-C stops the cluster"
wait
