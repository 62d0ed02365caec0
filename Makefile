# Every check, for people and CI alike. `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCH_BIN := .venv-bench/bin
# Peers of the benchmarks; of PyTorch the build for CPUs, where its index can be reached.
PEERS ?= torch scipy scikit-learn numexpr jax tensorflow-cpu "onnxruntime onnx" mlx[cpu]
PEER_INDEX ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-arm test-scalar test-python lint format wheel test-wheel clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed; try: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q "maturin>=1.9,<2" --group test
	@touch $@

build: $(BIN)/.ready ## Build the extension, optimised, into the virtual environment
	$(BIN)/maturin develop --release -q --extras cli
.PHONY: build

demo: build ## Run the main job on the bundled real data
	$(BIN)/actloss evaluate --sample digits

test: test-rust test-python ## Run all tests

test-rust: ## Rust tests, on every SIMD level of this machine
	cargo test --lib

test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = aarch64-linux-gnu-gcc
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER = qemu-aarch64 -L /usr/aarch64-linux-gnu
test-arm: ## Rust tests on NEON, emulated; needs qemu-user and a cross compiler
	@command -v qemu-aarch64 aarch64-linux-gnu-gcc >/dev/null || { echo "Missing. On Debian: apt install \
	qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross; and: rustup target add aarch64-unknown-linux-gnu"; exit 1; }
	cargo test --lib --target aarch64-unknown-linux-gnu

# Not optimised at all, not even inlined: each operation on lanes is a call, or the compiler would take an hour.
test-scalar: export CARGO_PROFILE_DEV_OPT_LEVEL = 0
test-scalar: export CARGO_TARGET_DIR = target/scalar
test-scalar: export RUSTFLAGS = -C no-prepopulate-passes
test-scalar: ## The announced bits on the level of plain arrays, without a SIMD instruction
	cargo test --lib --no-default-features --features scalar bits::

test-python: build ## Python tests
	$(BIN)/python -m pytest -n auto

accuracy: ## Sweep every float32 through every activation and write docs/accuracy.md (an hour or two)
	cargo run --release --example accuracy
.PHONY: accuracy

bench: build ## Time every row beside the peers that are installed, on one thread and on all
	$(BIN)/python -m benches

bench-peers: $(BENCH_BIN)/.ready ## Install every peer that can be had, and time the rows beside them
	VIRTUAL_ENV=$(abspath .venv-bench) $(BIN)/maturin develop --release -q
	$(BENCH_BIN)/python -m benches

$(BENCH_BIN)/.ready: pyproject.toml $(BIN)/.ready
	$(PYTHON) -m venv .venv-bench
	$(BENCH_BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BENCH_BIN)/python -m pip install -q --group bench
	@index=$(PEER_INDEX); \
	$(PYTHON) -c "import urllib.request; urllib.request.urlopen('$$index', timeout=10)" 2>/dev/null || index=; \
	for peer in $(PEERS); do \
		PIP_EXTRA_INDEX_URL=$$index $(BENCH_BIN)/python -m pip install -q $$peer || echo "skipped: $$peer"; \
	done
	@touch $@
.PHONY: bench bench-peers

docs: build ## Build the site into docs/_build/html; warnings are errors
	$(BIN)/python -m pip install -q --group docs
	rm -rf docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html
.PHONY: docs

test-peers: $(BENCH_BIN)/.ready ## Install every peer that can be had, and compare docs/migrating.md with them
	$(BENCH_BIN)/python -m pip install -q --group peers
	VIRTUAL_ENV=$(abspath .venv-bench) $(BIN)/maturin develop --release -q
	$(BENCH_BIN)/python -m pytest tests/peers
.PHONY: test-peers

lint: build ## rustfmt, clippy, ruff, mypy, stubs against the runtime
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/write_stubs.py --check
	$(BIN)/mypy python
	$(BIN)/stubtest actloss_rs --ignore-disjoint-bases --mypy-config-file pyproject.toml

format: $(BIN)/.ready ## Format the code and write the stubs
	cargo fmt
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/python scripts/write_stubs.py

wheel: $(BIN)/.ready ## Build the abi3 wheel into dist/; zig links it against an old enough glibc
	$(BIN)/python -m pip install -q --group wheel
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/maturin build --release --zig --compatibility manylinux_2_28 --out dist

test-wheel: wheel ## Install the wheel into a clean virtual environment and test it there
	rm -rf .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -q --upgrade "pip>=25.1"
	.venv-wheel/bin/python -m pip install -q --group test
	.venv-wheel/bin/python -m pip install -q "actloss_rs[cli] @ file://$$(ls -t $(CURDIR)/dist/*.whl | head -1)"
	cd tests && ../.venv-wheel/bin/python -m pytest -n auto -c ../pyproject.toml --rootdir=.. .

clean: ## Remove what was built
	cargo clean
	rm -rf $(VENV) .venv-wheel .venv-bench dist docs/_build docs/reference
