# Needs python3 >= 3.11 with pip, and nothing else: the rest goes into .venv, pinned and hashed.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
TOOLS := protos/build/tools
# The installing pip is the outer one, so that .venv needs none (Debian ships python3 without ensurepip).
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check --quiet
# Beside the checkouts, so that several share it: a folder per content of what it is built from (pilotpy/lab/cluster/assets.py).
KUBE_HOME := tests/kube/apiserver
KUBE_ASSETS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pilotpy/kube-$(shell \
  cat $(addprefix $(KUBE_HOME)/,go.mod go.sum main.go) | sha256sum | cut -c1-16)
KUBE_VERSION := $(shell sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$$/\1/p' $(KUBE_HOME)/go.mod)
# Beside programs, what each of them comes in.
PROGRAMS := ip:iproute2 iptables-restore:iptables unshare:util-linux nsenter:util-linux

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: system .venv/pilotpy  ## bring up the bookinfo mesh and show it (ARGS=--once: one round, then down; --kubernetes)
	$(BIN)/pilotpy lab demo $(ARGS)

test: lint system  ## lint, then every test (ARGS go to pytest)
	$(BIN)/pytest $(ARGS)

lint: .venv/pilotpy .venv/test  ## style, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

kube-assets: $(KUBE_ASSETS)/kube-apiserver  ## kube-apiserver and etcd for tests, built once per machine (minutes; needs Go)

bench: .venv/pilotpy .venv/test  ## benchmarks; they measure and assert nothing
	$(BIN)/python -m tests.bench $(ARGS)

protos: protos/build/stamp  ## generate the wire types

crds: .venv/pilotpy  ## generate deploy/crds from the types of the model
	$(BIN)/python deploy/generate_crds.py

lock:  ## resolve requirements/*.in anew into pinned *.txt (ARGS=--upgrade: newest)
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools==7.6.2
	cd requirements && for name in build run protos test; do \
	  ../build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	    --no-emit-find-links --no-emit-index-url --no-emit-trusted-host $(ARGS) $$name.in || exit 1; done

clean:  ## remove all that make made
	rm -rf .venv build dist protos/build ca/build *.egg-info */*.egg-info .*_cache .hypothesis
	rm -rf protos/pilotpy_protos/*/ protos/pilotpy_protos/api.binpb
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(KUBE_ASSETS)/kube-apiserver:
	@command -v go >/dev/null || { echo "Go is needed to build it, as new as $(KUBE_HOME)/go.mod says" >&2; exit 1; }
	mkdir -p $(@D)
	cd $(KUBE_HOME) && nice go build -buildvcs=false -trimpath -o $@.new \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBE_VERSION)"
	ln -sf kube-apiserver $(@D)/etcd
	mv $@.new $@

# What a mesh on one machine needs of the machine.
system:
	@missing=; for pair in $(PROGRAMS); do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	else echo "please install these packages first:$$missing" >&2; exit 1; fi

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit("python3 is %d.%d, 3.11 or newer is needed" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --without-pip .venv
	@touch $@

.venv/run: requirements/build.txt requirements/run.txt | .venv/made
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/run.txt
	@touch $@

.venv/test: requirements/test.txt | .venv/run
	$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

.venv/pilotpy: .venv/run protos/build/stamp pyproject.toml protos/pyproject.toml ca/pyproject.toml
	$(PIP) install --no-deps --no-build-isolation -e protos -e ca -e .
	@touch $@

$(TOOLS)/stamp: requirements/protos.txt | .venv/made
	rm -rf $(TOOLS)
	$(PIP) install --require-hashes -r requirements/protos.txt --target $(TOOLS)
	@touch $@

DEFINITIONS := protos/generate.py protos/roots.txt protos/pilotpy_protos/version.py $(shell find protos/istio -name '*.proto')
protos/build/stamp: $(TOOLS)/stamp $(DEFINITIONS)
	PYTHONPATH=$(TOOLS) $(BIN)/python protos/generate.py
	@touch $@

.PHONY: help demo test lint bench crds kube-assets protos lock clean system
