# casemate: `make run` and `make test` do all their set-up; see README.md.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

BUILD_PACKAGES := gcc libc6-dev libseccomp-dev pkg-config
TEST_PACKAGES  := rsync git dropbear-bin openssh-client tftpd-hpa tftp-hpa micro-httpd busybox-static curl \
                  iproute2 procps netcat-openbsd
RUN_PACKAGES   := netcat-openbsd

# casemated is linked statically: its zygotes start without a dynamic loader.
STATIC := -trimpath -tags netgo,osusergo -ldflags '-linkmode external -extldflags "-static"'

.PHONY: build run test test-go bench fuzz clean packages-build packages-test packages-run go-present root-present

go-present:
	@if ! command -v go >/dev/null; then \
	  echo 'go is missing: installing it with apt (Go 1.21 or later fetches the version in go.mod by itself)' >&2; \
	  apt-get update -q && { apt-get install -qy -t bookworm-backports golang-go || apt-get install -qy golang-go; }; \
	fi

# install-missing LIST: apt-get only when something is missing, and without starting its daemons.
define install-missing
@missing=; for p in $(1); do dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" != 0 ]; then echo "these packages are missing and installing them needs root:$$missing" >&2; exit 1; fi; \
  rc=/usr/sbin/policy-rc.d; \
  [ -e $$rc ] || { printf '#!/bin/sh\nexit 101\n' >$$rc; chmod +x $$rc; trap "rm -f $$rc" EXIT; }; \
  apt-get update -q >/dev/null; DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing >/dev/null; \
fi
endef

packages-build: go-present
	$(call install-missing,$(BUILD_PACKAGES))

packages-test: packages-build
	$(call install-missing,$(TEST_PACKAGES))

packages-run: packages-build
	$(call install-missing,$(RUN_PACKAGES))

root-present:
	@[ "$$(id -u)" = 0 ] || { echo 'casemated needs root: it binds ports, builds namespaces and changes users' >&2; exit 1; }

build: packages-build
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/casemate ./cmd/casemate-worker
	CGO_ENABLED=1 go build $(STATIC) -o bin/ ./cmd/casemated

# Serves examples/quickstart on loopback until interrupted.
run: root-present packages-run build
	@examples/quickstart/run

test: packages-test build
	go vet ./...
	test -z "$$(gofmt -l acl cmd listener policy sandbox tests)"
	CGO_ENABLED=0 go build -o /dev/null ./cmd/casemate
	go test -race $$(go list ./... | grep -v /tests/)
	# One after the other: they count processes, descriptors and mounts of the whole host.
	go test -p 1 -count=1 -timeout 10m ./tests/...

# The peers (openbsd-inetd, xinetd, systemd) are fetched as Debian packages and unpacked, not installed.
bench: root-present build
	go run ./tests/bench

FUZZTIME ?= 30s
fuzz: packages-build
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

clean:
	rm -rf bin .cache
