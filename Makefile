# SPDX-License-Identifier: MIT
# make demo   everything from nothing to the transcript of the JFK clip
# make test   everything from nothing to all tests passed
# make build  build/release/sotto
# make install build, then into /usr/local, or DESTDIR/usr/local
# make runner build/release/sotto-pte-runner, on the ExecuTorch wheel
# make npu-acceptance   docs/npu-acceptance.md, out of the tests of its rows
# make test-executorch   export to ExecuTorch, tested; downloads about 5 GB
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
JOBS ?= $(shell nproc)
RELEASE := build/release
SOTTO := $(RELEASE)/sotto
export CCACHE_MAXSIZE ?= 5G

.PHONY: help build runner demo models test test-build test-full install clean \
  npu-acceptance \
  setup setup-test executorch-build test-executorch bench-executorch

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

setup:
	@tools/setup.sh build

setup-test:
	@tools/setup.sh test

$(RELEASE)/build.ninja: | setup
	@mkdir -p build
	@cmake --preset release -DSOTTO_TESTS=OFF > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }

build: setup $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) -j $(JOBS) sotto_cli | { grep -v 'no work to do' || true; }

runner: setup $(RELEASE)/build.ninja
	@tools/executorch_venv.sh
	@cmake $(RELEASE) > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }
	@ninja -C $(RELEASE) -j $(JOBS) sotto_pte_runner

demo: build
	@tools/get_model.sh tiny.en $(SOTTO)
	@$(SOTTO) transcribe --model tiny.en --timings data/jfk.flac

models: build
	@tools/get_model.sh tiny.en $(SOTTO)
	@tools/get_model.sh base $(SOTTO)

# The same folder as `build`, so that nothing is compiled twice; the fuzz
# targets have their own, with sanitizers.
test-build: setup-test $(RELEASE)/build.ninja
	@tools/executorch_venv.sh
	@cmake --preset release -DSOTTO_TESTS=ON > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }
	@ninja -C $(RELEASE) -j $(JOBS)
	@cmake --preset asan -DSOTTO_TESTS=OFF > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }
	@ninja -C build/asan -j $(JOBS) fuzz_targets

test: test-build models
	@cd $(RELEASE) && ctest --output-on-failure 

# Exits with an error where a row fails, has no test, or a figure has no tag.
# LOGS: further output with figures, of runs too long for a test.
npu-acceptance: setup-test models
	@cmake --preset release -DSOTTO_TESTS=ON > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }
	@ninja -C $(RELEASE) -j $(JOBS)
	@$(SOTTO) npu launch --svg docs/npu-launch.svg > /dev/null
	@python3 tools/npu_acceptance.py $(RELEASE) --logs $(LOGS) \
	  --page docs/npu-acceptance.md --json $(RELEASE)/npu-acceptance.json

# Whole data sets, long fuzzing, and what other engines read of our files.
test-full: test-build models
	@cd $(RELEASE) && SOTTO_TEST_FULL=1 ctest --output-on-failure
	@tests/full/run.sh $(SOTTO)

# Export to ExecuTorch and what it gives. Downloads about 5 GB first and says
# so; SOTTO_EXECUTORCH_PYTHON names a Python that has torch and executorch.
EXECUTORCH_RUN = cd python/tests && PYTHONPATH=.. SOTTO_BUILD=$(CURDIR)/$(RELEASE)
executorch-build: setup-test models
	@tools/executorch_venv.sh
	@tools/executorch_torch.sh > build/executorch-python
	@cmake --preset release -DSOTTO_TESTS=ON > build/configure.log 2>&1 || \
	  { cat build/configure.log >&2; exit 1; }
	@ninja -C $(RELEASE) -j $(JOBS) sotto_cli sotto_executorch \
	  sotto_pte_runner pte_logits_test

test-executorch: executorch-build
	@python="$$(cat build/executorch-python)"; $(EXECUTORCH_RUN) \
	  "$$python" -W ignore -m unittest -v
	@python3 extension/executorch/runner/model_test.py \
	  $(RELEASE)/sotto-pte-runner $(SOTTO) . build/pte -v

bench-executorch: executorch-build
	@python="$$(cat build/executorch-python)"; $(EXECUTORCH_RUN) \
	  "$$python" -W ignore bench_table.py

install: build
	@ninja -C $(RELEASE) -j $(JOBS) sotto_installed | { grep -v 'no work to do' || true; }
	@DESTDIR="$(DESTDIR)" cmake --install $(RELEASE)

clean:
	rm -rf build
