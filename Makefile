# The everyday commands. `make check` is what CI runs; the rest is shorter, or
# longer and says what it proves.

GO ?= go

.PHONY: help check fmt test race sim e2e e2e-long bench bench-short failover demo proto

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
