# casemate: `make run` and `make test` do all their set-up; see README.md.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

BUILD_PACKAGES := gcc libc6-dev libseccomp-dev pkg-config
TEST_PACKAGES  := rsync git dropbear-bin openssh-client tftpd-hpa tftp-hpa micro-httpd busybox-static musl-tools curl \
                  iproute2 procps netcat-openbsd systemd cvs openssh-server popa3d tcpd \
                  logrotate mandoc zsh fish neovim
# Of examples/services.
SERVICE_PACKAGES_A := \
    distcc \
    ecj \
    finger \
    fingerd \
    gophernicus \
    haproxy \
    nodejs \
    nullidentd \
    openjdk-17-jre-headless \
    openssl \
    perl \
    python3 \
    stunnel4 \
    subversion
SERVICE_PACKAGES_B := \
    bitlbee \
    dict \
    dictd \
    dovecot-imapd \
    exim4-daemon-light \
    fossil \
    inetutils-talk \
    inetutils-talkd \
    inetutils-telnet \
    inetutils-telnetd \
    leafnode \
    libhiredis0.14 \
    libmemcachedutil2 \
    libnbd-bin \
    libpcre2-posix3 \
    munin-node-c \
    nagios-nrpe-plugin \
    nagios-nrpe-server \
    nbdkit \
    rsh-redone-client \
    rsh-redone-server \
    tigervnc-standalone-server \
    uucp \
    vncsnapshot \
    vsftpd
# Each of these conflicts with one above: it is unpacked into .cache, and not installed.
SERVICE_PACKAGES_APART := atftpd proftpd-core
# Of tests/browser, which looks at casemate report's pages where it is installed already: it takes 300 MB.
REPORT_PACKAGES := chromium
# Of examples that tests run where it is installed already: it upgrades the host's systemd.
SERVICE_PACKAGES_HEAVY := sane-utils
# A host has one inetd, and xinetd is none that is installed beside it.
PEER_PACKAGES := xinetd
RUN_PACKAGES   := netcat-openbsd
KERNEL_PACKAGES := qemu-system-x86 debootstrap
GUEST_PACKAGES  := $(BUILD_PACKAGES) $(TEST_PACKAGES) $(SERVICE_PACKAGES_A) $(SERVICE_PACKAGES_B)
# Of a build for arm64 on another architecture.
ARM64_PACKAGES  := gcc-aarch64-linux-gnu libc6-dev-arm64-cross

# The version is the tag or commit that git knows, also in a worktree, which go build does not see
# into. VERSION=1.2.3 names it where there is no git.
VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null)
NAMED := $(if $(VERSION),-X casemate/cmd/version.linked=$(VERSION))

# casemated is linked statically: its zygotes start without a dynamic loader. So is casemate-filter, whose sandbox shows it no library.
STATIC := -trimpath -tags netgo,osusergo -ldflags '$(NAMED) -linkmode external -extldflags "-static"'

# make build ARCH=arm64 builds for that in bin/arm64, on another architecture with what make deps-arm64 has fetched;
# make vet takes it too.
ARCH ?=
OUT      := bin$(addprefix /,$(ARCH))
ARM64    := $(CURDIR)/.cache/arm64
COMPILER := gcc
ifneq ($(ARCH),)
export GOARCH := $(ARCH)
ifneq ($(ARCH),$(shell go env GOHOSTARCH 2>/dev/null))
COMPILER := aarch64-linux-gnu-gcc
export CC := $(COMPILER)
export CGO_ENABLED := 1
export PKG_CONFIG_SYSROOT_DIR := $(ARM64)
export PKG_CONFIG_LIBDIR := $(ARM64)/usr/lib/aarch64-linux-gnu/pkgconfig
endif
endif

# Where make install puts what it installs, below DESTDIR.
export DESTDIR PREFIX SBINDIR BINDIR LIBEXECDIR DATADIR SYSCONFDIR UNITDIR

.PHONY: build man pages install deb check gofmt vet run test test-kernels test-kernels-arm64 test-host test-report soak random reproduce deps deps-test deps-heavy deps-report deps-run deps-kernels deps-arm64 bench bench-plots bench-readme bench-policy fuzz clean go-present root-present

# add-backports PACKAGE: unless apt has one from Debian 12's backports, add them to its sources, from the address that
# those which this host has name.
add-backports = if ! apt-cache madison $(1) | grep -q bookworm-backports; then \
    uri=$$(apt-get indextargets --format '$$(REPO_URI)' 'Codename: bookworm' 'Component: main' | head -n 1); \
    echo "deb $$uri bookworm-backports main" >/etc/apt/sources.list.d/bookworm-backports.list; \
    apt-get update -q >/dev/null; \
  fi

# Debian 12's own Go is too old to fetch the one that go.mod asks for; that of its backports can.
export GOTOOLCHAIN := auto
go-present:
	@if ! go version 2>/dev/null | grep -qE 'go1\.(2[1-9]|[3-9][0-9])'; then \
	  if [ "$$(id -u)" != 0 ]; then echo 'Go 1.21 or later is missing, and installing it needs root' >&2; exit 1; fi; \
	  echo 'installing Go' >&2; apt-get update -q >/dev/null; \
	  $(call add-backports,golang-go); \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends -t bookworm-backports golang-go >/dev/null; \
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

# unpack-missing LIST: downloads packages into .cache/apart/NAME, and looks for new lists where the ones that are there do not do.
define unpack-missing
@for p in $(1); do \
  [ -d .cache/apart/$$p ] && continue; rm -rf .cache/apart/new; mkdir -p .cache/apart/new; \
  (cd .cache/apart/new; apt-get download -q $$p || { apt-get update -q; apt-get download -q $$p; }) >/dev/null 2>.cache/apart/apt.log || { cat .cache/apart/apt.log >&2; exit 1; }; \
  dpkg-deb -x .cache/apart/new/*.deb .cache/apart/new; rm .cache/apart/new/*.deb; mv .cache/apart/new .cache/apart/$$p; \
done
endef

# What a build needs; these targets alone install anything.
deps: go-present
	$(call install-missing,$(BUILD_PACKAGES))

deps-test: deps
	$(call install-missing,$(TEST_PACKAGES) $(SERVICE_PACKAGES_A) $(SERVICE_PACKAGES_B))
	$(call unpack-missing,$(SERVICE_PACKAGES_APART) $(PEER_PACKAGES))

deps-heavy: deps-test
	$(call install-missing,$(SERVICE_PACKAGES_HEAVY))

deps-report: deps
	$(call install-missing,$(REPORT_PACKAGES))

deps-run: deps
	$(call install-missing,$(RUN_PACKAGES))

deps-kernels: deps
	$(call install-missing,$(KERNEL_PACKAGES))
	@$(call add-backports,linux-image-cloud-amd64)

# libseccomp for arm64 comes unpacked into .cache, by lists of apt's own: no architecture is added to this host.
ARM64_APT = -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State=$(ARM64)/apt -o Dir::State::status=$(ARM64)/apt/status -o Dir::Cache=$(ARM64)/apt/cache
deps-arm64: deps
	$(call install-missing,$(ARM64_PACKAGES))
	@mkdir -p $(ARM64)/apt/lists/partial $(ARM64)/apt/cache/archives/partial && : >>$(ARM64)/apt/status
	@[ -e $(ARM64)/usr/lib/aarch64-linux-gnu/libseccomp.a ] || { cd $(ARM64)/apt; apt-get $(ARM64_APT) update -q >/dev/null; \
	  apt-get $(ARM64_APT) download -q libseccomp2 libseccomp-dev >/dev/null; for p in *.deb; do dpkg-deb -x $$p $(ARM64); done; }

root-present:
	@[ "$$(id -u)" = 0 ] || { echo 'casemated needs root: it binds ports, builds namespaces and changes users' >&2; exit 1; }

build:
	@mkdir -p $(OUT)
	@command -v go >/dev/null && command -v $(COMPILER) >/dev/null && pkg-config --exists libseccomp || \
	  { echo 'a build needs Go, gcc and libseccomp ($(BUILD_PACKAGES)): make deps$(addprefix -,$(ARCH)) installs them' >&2; exit 1; }
	CGO_ENABLED=0 go build -trimpath -ldflags '$(NAMED)' -o $(OUT)/ ./cmd/casemate ./cmd/casemate-worker ./cmd/inetd
	CGO_ENABLED=1 go build $(STATIC) -o $(OUT)/ ./cmd/casemated ./cmd/casemate-filter

# The manual pages, out of what the programs say of themselves, into bin/man.
man: build
	@$(MAKE) --no-print-directory pages

pages:
	@rm -rf bin/man; mkdir -p bin/man
	@for p in $$(bin/casemate help --man list); do bin/casemate help --man $$p >bin/man/$$p; done
	@for p in casemated casemate-worker casemate-filter; do bin/$$p --help | bin/casemate help --man $$p.8 >bin/man/$$p.8; done
	@bin/inetd --help | sed 's/^inetd serves/casemate-&/; s/^usage: /&casemate-/' | bin/casemate help --man casemate-inetd.8 >bin/man/casemate-inetd.8

# Installs what make man has built, and builds nothing itself: make man; sudo make install PREFIX=/usr/local.
# It enables and starts nothing.
install:
	@cmd/casemated/dist/install.sh

# A Debian package in bin/.
deb: man
	@VERSION='$(VERSION)' cmd/casemated/dist/deb.sh

# What a change needs before anybody looks at it: no root, nothing installed, a minute or two.
# As a plain user what needs root is left out; what starts a broker is `make test`'s.
check: gofmt vet
	go test $$(go list ./... | grep -v /tests/) ./tests/fences ./tests/script ./tests/reproduce

vet:
	go vet ./...

gofmt:
	@bad=$$(gofmt -l acl cmd listener policy sandbox tests); [ -z "$$bad" ] || { echo "gofmt -w $$bad" >&2; exit 1; }

# Serves examples/quickstart on loopback until interrupted.
run: root-present deps-run
	@$(MAKE) build
	@examples/quickstart/run

# Packages whose tests are thousands of cases in one goroutine: nothing to race, and four times as long where it is looked for.
ALONE := 'casemate/\(cmd/casemate\|policy\(/denied\|/importer\|/hostsaccess\|/schema\|/show\)\?\)$$'
# With LANES=2 so many tests of tests/root run at a time, each in namespaces of its own: most of them wait.
LANES ?=
test: deps-test
	@$(MAKE) build gofmt vet
	CGO_ENABLED=0 go build -o /dev/null ./cmd/casemate
	go test -race $$(go list ./... | grep -v -e /tests/ -e $(ALONE))
	go test -count=1 $$(go list ./... | grep $(ALONE)) ./tests/script
	# One after the other: they count processes, descriptors and mounts of the whole host. What failed is said again at the end.
	@mkdir -p .cache; rm -f .cache/tests
	{ go test -p 1 -count=1 -timeout 30m $$(go list ./tests/... | grep -v -e /script$$ $(if $(LANES),-e /tests/root$$)) \
	  $(if $(LANES),&& go run ./tests/lanes -lanes $(LANES) ./tests/root) && echo passed >.cache/tests; } 2>&1 | tee .cache/tests.log
	@grep -E '^ *--- FAIL|^(FAIL|panic:)|^running tests:|^	+Test[A-Za-z/]* \(.*\)$$' .cache/tests.log || :
	@[ -e .cache/tests ] && rm .cache/tests

# The storm of tests/chaos: half a minute with one seed in make test, here as long as it is asked to. FAULTS is a regular
# expression that leaves out the faults it does not match.
SEED    ?= $(shell date +%s)
MINUTES ?= 5
FAULTS  ?=
soak: root-present build
	SOAK_SEED=$(SEED) SOAK_MINUTES=$(MINUTES) SOAK_FAULTS='$(FAULTS)' go test -count=1 -v -timeout 0 ./tests/chaos

# Programs that make system calls by chance under every shipped profile: two rounds in make test, here as long as it is asked to.
random: root-present build
	CASEMATE_RANDOM_SEED=$(SEED) CASEMATE_RANDOM_MINUTES=$(MINUTES) go test -count=1 -v -timeout 0 -run TestRandomSessions ./tests/escape

# Every input that failed once, by the tests that show it: tests/reproduce/rows.go.
reproduce: root-present build
	go run ./tests/reproduce

# Boots Debian 12's kernels, and Debian 12 under systemd, by KVM where there is one and else (or with KERNELS_EMULATE=1) in
# emulation; with MACHINES=arm64 that of another architecture. What it downloads stays in .cache, and which tests have passed with
# this commit, which are left out the next time, so that a run may be ended and go on later; AGAIN=1 runs all of them.
MACHINES ?=
AGAIN    ?=
test-kernels: root-present deps-kernels build
	$(if $(findstring arm64,$(MACHINES)),$(MAKE) test-kernels-arm64)
	go run ./tests/kernels $(if $(AGAIN),-again )-only '$(MACHINES)' -packages '$(GUEST_PACKAGES)'

test-kernels-arm64: deps-arm64
	$(call install-missing,qemu-system-arm)
	@$(MAKE) build ARCH=arm64

# Moves a debootstrapped host with openbsd-inetd, tcpd and a dozen daemons to casemate, with its files as they are and with a policy
# that is imported from them: tests/host. What it downloads stays in .cache.
test-host: root-present deps-kernels man
	go run ./tests/host

# Looks at casemate report's pages in a browser, at a phone's and a desk's width, light and dark. SCREENSHOTS=DIR keeps what it sees.
SCREENSHOTS ?=
test-report: deps-report
	CASEMATE_HEAVY=1 CASEMATE_SCREENSHOTS='$(if $(SCREENSHOTS),$(abspath $(SCREENSHOTS)))' go test -count=1 ./tests/browser

# The peers (openbsd-inetd, xinetd, systemd, ucspi-tcp, socat, bubblewrap) are fetched as Debian packages and unpacked, not installed.
# Its last table is written to bin/bench.json too. STRICT=1 fails where an aim of a row is missed; PARTS=service,start runs those alone.
STRICT ?=
PARTS  ?=
bench: root-present build
	go run ./tests/bench -json bin/bench.json -plots bin $(if $(STRICT),-strict )-only '$(PARTS)'

# Connections a second by live sessions, services and prefixes of an acl, in bin/sessions.svg, services.svg and acl.svg, as make bench has them too.
bench-plots: root-present build
	go run ./tests/bench -plots bin -only sweep

# The README's table, out of what make bench has written.
bench-readme:
	go run ./tests/bench -json bin/bench.json -readme README.md

# The compiler's own cost, up to 5,000 services with profiles of their own and 50,000 patterns, and that of
# casemated's loads of up to 5,000 services.
bench-policy: root-present build
	go test -run '^$$' -bench 'Compile|Decode' -benchtime 3x ./policy/lang
	go run ./tests/bench -only load

# A time or a number of runs (20000x), of each target. RANDOM_ROUNDS is how often the tests with random lists and policies try;
# a score and a layout take longer, and are tried for a part of it. CASEMATE_RANDOM_SEED has them try others than the ones of each run.
FUZZTIME ?= 60s
RANDOM_ROUNDS ?= 100000
fuzz:
	CASEMATE_RANDOM=$(RANDOM_ROUNDS) go test -timeout 0 ./acl/reach ./policy/diff
	CASEMATE_RANDOM=$$(($(RANDOM_ROUNDS) / 20)) go test -timeout 0 ./policy/score
	CASEMATE_RANDOM=$$(($(RANDOM_ROUNDS) / 500)) go test -timeout 0 -run TestLayoutKeepsThePolicy ./policy/lang
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p; done; done

clean:
	rm -rf bin .cache
