#!/bin/sh
# Generates the Go code of api/ from the proto files in api/proto. The result is
# committed, so a build needs none of the tools:
#   protoc 3.21 or later (Debian: protobuf-compiler)
#   go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
#   go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
set -eu
cd "$(dirname "$0")/.."
PATH="$(go env GOPATH)/bin:$PATH"
module=github.com/reprise-run/reprise

# The messages, and the service in our own package.
protoc -I api/proto \
  --go_out=. --go_opt=module=$module \
  --go-grpc_out=. --go-grpc_opt=module=$module \
  reprise/durabletask/v1/common.proto \
  reprise/durabletask/v1/history.proto \
  reprise/durabletask/v1/management.proto \
  reprise/v1/cluster.proto \
  reprise/v1/cancel.proto \
  reprise/v1/orchestration.proto

# The service without a package: gRPC code only, no descriptor. See api/doc.go.
protoc -I api/proto \
  --go-grpc_out=. --go-grpc_opt=module=$module \
  reprise/durabletask/v1/service.proto
