# The everyday commands. `make check` is what CI runs; the rest is shorter, or
# longer and says what it proves.

GO ?= go
# Where data goes whose disk matters; the default is the temporary directory.
DIR ?=
BENCH = $(GO) test -run '^$$' -timeout 60m
ON = ./bench $(if $(DIR),-dir=$(DIR))

.PHONY: help check fmt test race sim planted e2e e2e-long bench bench-short failover long-history eternal armed waiting demo proto

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## everything that CI checks
	bash .ci/run

fmt: ## format the Go sources
	gofmt -l -w $$(git ls-files '*.go' | grep -v '\.pb\.go$$')

test: ## all tests, one package at a time
	$(GO) test -p 1 ./...

race: ## the packages where goroutines meet, under the race detector
	bash .ci/run race

# Ten lives and not one: nothing is purged, so in a long life most of the work is
# copying the state of what has ended to nodes that come back.
sim: ## ten simulated hours of faults, ten clusters of five nodes: the promises hold beyond the minute of CI
	$(GO) test -count=1 -timeout 120m -run TestSimulation -v ./internal/sim -sim.life=1h -sim.lives=10 -sim.nodes=5

planted: ## plant one bug after the other: the simulation notices each
	$(GO) test -count=1 -timeout 60m -run TestPlantedBugs -v ./internal/sim -sim.planted

e2e: ## a minute of kill -9 on real processes, and a leader that sleeps
	$(GO) test -count=1 -v ./e2e

e2e-long: ## the same for twenty minutes and 300 kills: nothing leaks, nothing is rare enough
	$(GO) test -count=1 -v -timeout 60m ./e2e -storm=20m -kills=300

bench: ## all workloads on three node processes, beside the raw log; about five minutes
	$(BENCH) -bench . $(ON)

bench-short: ## the same in about a minute: is anything grossly slower?
	$(BENCH) -bench . -short $(ON)

failover: ## a hundred takeovers of killed leaders: how long a partition does not commit
	$(BENCH) -bench Failover $(ON) -takeovers=100

long-history: ## a history of a million events: the time of a step does not grow
	$(BENCH) -bench LongHistory $(ON) -w0=false -long=333000

eternal: ## a hundred thousand continuations as new: memory and disk stay
	$(BENCH) -bench Eternal $(ON) -w0=false -continues=100000

armed: ## a million armed timers: what they cost in memory, and in processor time while idle
	$(BENCH) -bench Armed $(ON) -w0=false -armed=1000000

waiting: ## a hundred thousand waiting orchestrations: memory, and the takeover of their partitions
	$(BENCH) -bench Waiting $(ON) -w0=false -waiting=100000

demo: ## the README's first command
	$(GO) run ./cmd/reprise demo

proto: ## the Go code of api/ from its proto files (needs protoc; see the script)
	scripts/generate.sh
