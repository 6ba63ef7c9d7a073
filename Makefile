# make build | run | test | check | fuzz | bench | e2e | clean; `make help` explains.

GO ?= go
BIN := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown)
PROGRAMS := ./cmd/sekishod ./cmd/sekisho-agent ./cmd/session-manager-plugin ./cmd/sekisho
# What runs on other people's machines, and so must build for their systems too. The
# server is for Unix.
PEERS := ./cmd/sekisho-agent ./cmd/session-manager-plugin ./cmd/sekisho
FUZZTIME ?= 10s
# The tests' own deadline per package, far above what any needs.
TIMEOUT ?= 40m
# Arguments of `make bench` for the benchmark, such as BENCH=-h.
BENCH ?=

# The programs stamp VERSION themselves; git refuses to tell about a tree that belongs
# to another user, as in some containers, and would fail the build.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# vet_for vets programs and all packages of ours that they are made of, for another OS.
vet_for = GOOS=$(1) CGO_ENABLED=0 $(GO) vet $$(GOOS=$(1) CGO_ENABLED=0 $(GO) list -deps $(2) | grep '^sekisho/')

# The console is built when npm is there and its sources are newer than what was built.
NPM ?= npm
CONSOLE := internal/console/dist/app/index.html

.PHONY: help web build agents packages run test check fuzz bench e2e deps clean

help:
	@echo 'make build   the programs, static, into $(BIN)/'
	@echo 'make agents  the agent for every system, into dist/agents/ (`sekishod agents publish`)'
	@echo 'make packages  .deb and .rpm of the agent, into dist/packages/'
	@echo 'make web     the web console, with npm; sekishod embeds it when it is built after that'
	@echo 'make run     a server and one node of this machine; data in dev/'
	@echo 'make test    installs what the tests need if it is missing, and runs them all'
	@echo 'make check   gofmt, vet for every target OS, staticcheck, govulncheck, go.mod, shellcheck'
	@echo 'make fuzz    each fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make bench   beside OpenSSH on this machine, as ratios'
	@echo 'make e2e     only the conversations of whole programs'

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.build=$(VERSION)' -o $(BIN)/ $(PROGRAMS)

# The symbol tables that are left out are a third of the agent's size.
AGENT_SYSTEMS := linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
agents:
	@mkdir -p dist/agents
	@set -e; for system in $(AGENT_SYSTEMS); do \
		os=$${system%/*} arch=$${system#*/} suffix=; [ $$os != windows ] || suffix=.exe; \
		echo dist/agents/sekisho-agent-$$os-$$arch$$suffix; \
		GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.build=$(VERSION)' \
			-o dist/agents/sekisho-agent-$$os-$$arch$$suffix ./cmd/sekisho-agent; \
	done

packages: agents
	scripts/make-packages '$(VERSION)'

run: build
	$(BIN)/sekishod dev --dir dev

web: $(CONSOLE)

$(CONSOLE): $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/vite.config.ts web/tsconfig.json web/package-lock.json
	cd web && $(NPM) ci --no-audit --no-fund && $(NPM) run build
	@touch $@

deps:
	scripts/install-test-deps

# The console first: sekishod embeds it, and the tests drive it with a browser.
test: deps web build
	scripts/with-postgres $(GO) run ./scripts/gotest -race -shuffle=on -timeout $(TIMEOUT) ./...

e2e: deps web build
	$(GO) run ./scripts/gotest -race -count=1 -timeout $(TIMEOUT) ./internal/e2e/...

check:
	@scripts/check-format
	$(GO) vet ./...
	$(call vet_for,darwin,$(PEERS) ./cmd/sekishod)
	$(call vet_for,windows,$(PEERS))
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	@scripts/check-vulnerabilities

fuzz:
	@GO='$(GO)' scripts/fuzz $(FUZZTIME)

bench: build
	$(GO) run ./bench $(BENCH)

clean:
	rm -rf $(BIN) dist
