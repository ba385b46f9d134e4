# Relance: every task of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/.bin
export PATH := $(BIN):$(PATH)
export GOFLAGS ?= -buildvcs=false
MODULES := cmd/relance e2e gateway platform proto services/availability services/followups services/sync simulator
GO_MODULES := $(filter-out proto,$(MODULES))

# Pinned tools, built into .bin outside the workspace so that they cannot move our own versions.
BUF_VERSION := v1.75.0
PROTOC_GEN_GO_VERSION := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
GATEWAY_VERSION := v2.33.0
SQLC_VERSION := v1.31.1
GOLANGCI_VERSION := v2.15.0
GRPCURL_VERSION := v1.9.4

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z/%]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 22

.PHONY: build
build: ## Build the relance binary into bin/
	@mkdir -p bin
	go build -trimpath -o bin/relance ./cmd/relance

.PHONY: demo
demo: build ## Run the main job on embedded defaults and check every send
	./bin/relance demo

.PHONY: sandbox
sandbox: build ## Start everything on loopback with the simulator and stay up
	./bin/relance sandbox

# The cache does not know that e2e depends on the other modules and on docs/, so it is always run.
.PHONY: test
test: ## Test all modules
	@failed=; for m in $(GO_MODULES); do (cd $$m && go test $$([ $$m != e2e ] || echo -count=1) $(TESTFLAGS) ./...) || failed="$$failed $$m"; done; \
	[ -z "$$failed" ] || { echo "tests failed in:$$failed"; exit 1; }

.PHONY: test/race
test/race: ## Test all modules with the race detector
	@$(MAKE) test TESTFLAGS="-race -timeout 15m $(TESTFLAGS)"

.PHONY: test/pg18
test/pg18: ## Test all modules on the fetched PostgreSQL 18, whatever is installed
	@RELANCE_POSTGRES_BIN=fetched $(MAKE) test TESTFLAGS="-count=1 $(TESTFLAGS)"

.PHONY: foretell
foretell: ## Foretold against what then happens over a week, on the real services: LEADS=550
	cd cmd/relance && RELANCE_FORETELL_LEADS=$(or $(LEADS),550) go test -v -count=1 -run '^TestForetoldIsWhatHappens$$' -timeout 40m ./internal/stack

.PHONY: bench/followups
bench/followups: ## Measure the followups service, one line a figure (RELANCE_BENCH_SCALE=20 for a quick look)
	@cd services/followups && RELANCE_BENCH=1 go test -v -count=1 -run '^TestBench$$' -timeout 40m . | grep --line-buffered -E '^(figure|FAIL|---|panic)'

.PHONY: bench/availability
bench/availability: ## Measure the availability service, one line a figure (RELANCE_BENCH_SCALE=20 for a quick look)
	@cd services/availability && RELANCE_BENCH=1 go test -v -count=1 -run '^TestBench$$' -timeout 20m ./internal/server | grep --line-buffered -E '^(figure|FAIL|--- FAIL|panic)'

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each
	@for f in $$(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' || true); do d=$$(dirname $$f); \
	  for t in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | sed 's/func //'); do echo "fuzz $$d $$t"; \
	    (cd $$d && go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x .); done; done

SENDS ?= 10000
KILLS ?= 500
SEED ?= 1
.PHONY: storm
storm: ## Kill storm: SENDS=10000 KILLS=500 SEED=1, figures on stdout
	cd e2e && go run ./cmd/prove storm -sends $(SENDS) -kills $(KILLS) -seed $(SEED)

.PHONY: model
model: ## Check the model of the send protocol with spin (DEEP=1 for a larger run)
	@command -v spin >/dev/null || { echo "model: installing spin"; $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get install -qq -y spin >/dev/null; }
	@docs/models/check.sh

.PHONY: crashpoints
crashpoints: ## Kill or pause a process at every crash point of sends, bookings, contacts, webhooks and tokens
	cd e2e && go run ./cmd/prove crashpoints

.PHONY: runs
runs: ## Kill runs of follow-ups at every crash point, then LEADS=1000 KILLS=50 at random
	cd e2e && go run ./cmd/prove runs -leads $(or $(LEADS),1000) -kills $(if $(filter file,$(origin KILLS)),50,$(KILLS)) -seed $(SEED)

.PHONY: teeth
teeth: ## Plant seven bugs; the proofs must find each
	cd e2e && go run ./cmd/prove teeth

.PHONY: rtests
rtests: ## Lost answers, nothing taken, repeated webhooks, outage, do-not-disturb, tokens (R3 R4 R10 R11 R18 R40)
	cd e2e && go run ./cmd/prove rtests

.PHONY: legal
legal: ## One million sends over all zones and clock changes: none outside the hours
	@cd services/sync && RELANCE_LONG=1 go test -count=1 -v -run Never -timeout 30m ./internal/legal | grep -oE 'figure .*|^(FAIL|---|panic).*'

.PHONY: schedule
schedule: ## One million random (zone, hours, delay) cases of follow-ups: never outside the window, never early
	@cd services/followups && go test -count=1 -v -run NeverOutsideTheWindow -timeout 30m ./internal/followup -schedule-cases 1000000 | grep -E 'violations|^(FAIL|---|panic)|_test.go'

.PHONY: lives
lives: ## 1,000 random lives of enrollments, up to 120 actions each, against a model: LIVES=1000
	@cd services/followups && go test -count=1 -v -run '^TestLifeFollowsTheModel$$' -timeout 60m . -rapid.checks $(or $(LIVES),1000) -machine-steps 120 | grep -E 'violations|^(FAIL|---|panic)|_test.go'

.PHONY: bench/sync
bench/sync: ## Speed of sync against bare loops of the same machine
	cd e2e && go run ./cmd/prove bench

.PHONY: nightly
nightly: ## Every proof at full size: two to three hours on 2 cores
	$(MAKE) storm
	$(MAKE) crashpoints
	$(MAKE) runs
	$(MAKE) teeth
	$(MAKE) rtests
	$(MAKE) model
	$(MAKE) legal
	$(MAKE) schedule
	$(MAKE) lives
	$(MAKE) foretell
	$(MAKE) bench/sync
	$(MAKE) fuzz FUZZTIME=60s

.PHONY: lint
lint: .bin/golangci-lint .bin/buf ## golangci-lint, buf lint, buf format
	golangci-lint config verify
	golangci-lint run $$(for m in $(MODULES); do if [ -n "$$(find $$m -name '*.go' -print -quit)" ]; then echo "./$$m/..."; fi; done)
	buf lint
	buf format -d --exit-code

.PHONY: fmt
fmt: .bin/golangci-lint .bin/buf ## Format Go and proto files
	golangci-lint fmt
	buf format -w

.PHONY: breaking
breaking: .bin/buf ## Contract may not break against main (BREAKING_BASE)
	@base="$(BREAKING_BASE)"; base="$${base:-$$(git rev-parse --verify -q origin/main || git rev-parse --verify -q main || git rev-parse HEAD)}"; \
	if git cat-file -e "$$base:buf.yaml" 2>/dev/null; then buf breaking --against ".git#ref=$$base"; else echo "breaking: no contract at $$base to compare with"; fi

.PHONY: generate
generate: .bin/buf .bin/protoc-gen-go .bin/protoc-gen-go-grpc .bin/protoc-gen-grpc-gateway .bin/protoc-gen-openapiv2 .bin/sqlc ## Generate proto, gateway, OpenAPI and SQL code
	buf generate
	if [ -f gateway/buf.gen.gateway.yaml ]; then buf generate --template gateway/buf.gen.gateway.yaml; fi
	for s in services/*; do if [ -f $$s/sqlc.yaml ]; then (cd $$s && sqlc generate); fi; done

.PHONY: generate/check
generate/check: generate ## Generated code is fresh
	@out="$$(git status --porcelain -- proto gateway services)"; if [ -n "$$out" ]; then echo "generated code is stale; run make generate and commit:"; echo "$$out"; exit 1; fi

.PHONY: tidy
tidy: ## go mod tidy in every module, then go work sync
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy); done
	go work sync

.PHONY: tidy/check
tidy/check: ## Every module is tidy and builds alone, so the module graph holds the layers
	@for m in $(MODULES); do echo "tidy/check $$m"; (cd $$m && GOWORK=off go mod tidy -diff && if [ -n "$$(find . -name '*.go' -print -quit)" ]; then GOWORK=off go build ./...; fi); done

.PHONY: ci
ci: generate/check tidy/check lint breaking test/race demo ## All checks

.bin/buf: ; GOWORK=off GOBIN=$(BIN) go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)
.bin/protoc-gen-go: ; GOWORK=off GOBIN=$(BIN) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)
.bin/protoc-gen-go-grpc: ; GOWORK=off GOBIN=$(BIN) go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION)
.bin/protoc-gen-grpc-gateway: ; GOWORK=off GOBIN=$(BIN) go install github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@$(GATEWAY_VERSION)
.bin/protoc-gen-openapiv2: ; GOWORK=off GOBIN=$(BIN) go install github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2@$(GATEWAY_VERSION)
.bin/sqlc: ; GOWORK=off GOBIN=$(BIN) go install github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION)
.bin/golangci-lint: ; GOWORK=off GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
.bin/grpcurl: ; GOWORK=off GOBIN=$(BIN) go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
