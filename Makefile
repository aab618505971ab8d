# make help says what there is. Every target sets up what it needs or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz clean tools tools-fuzz

MIN_RUST := 1.90
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
RLKD := $(TARGET)/release/rlkd
DEMO := demo
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

help: ## Print this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: tools ## Score the examples, print the table, write an HTML report (into demo/).
	cargo build --release --locked
	@mkdir -p $(DEMO)
	@status=0; "$(RLKD)" score examples/problems.jsonl --restart -o $(DEMO)/scored.jsonl || status=$$?; \
	if [ $$status -ne 0 ] && [ $$status -ne 3 ]; then exit $$status; fi
	@"$(RLKD)" report $(DEMO)/scored.jsonl -o $(DEMO)/report.html
	@echo
	@echo "scores: $(DEMO)/scored.jsonl (one line for each student trace)"
	@echo "report: $(DEMO)/report.html (open it in a browser; it needs no network)"
	@echo "one pair in the terminal: $(RLKD) explain $(DEMO)/scored.jsonl --id math-bakery"

test: tools ## Run all tests, with the stored fuzz inputs replayed.
	cargo test --locked

bench: tools ## Run the benchmarks (what the figures mean: docs/benchmarks.md).
	cargo bench --locked

fuzz: tools-fuzz ## Fuzz every target for FUZZ_SECONDS (60) each; FUZZ_TARGETS="align mix" picks some.
	@if command -v cargo-fuzz >/dev/null; then fuzzer=cargo-fuzz; \
	else fuzzer="$(abspath $(TARGET))/tools/bin/cargo-fuzz"; \
	  if [ ! -x "$$fuzzer" ]; then echo "installing cargo-fuzz into $(TARGET)/tools"; \
	    cargo install cargo-fuzz --locked --root "$(TARGET)/tools"; fi; fi; \
	for name in $(FUZZ_TARGETS); do \
	  echo "== $$name, $(FUZZ_SECONDS) s"; \
	  mkdir -p fuzz/corpus/$$name; inputs=fuzz/corpus/$$name; \
	  for more in fuzz/seeds/$$name fuzz/regressions/$$name; do if [ -d $$more ]; then inputs="$$inputs $$more"; fi; done; \
	  RUSTC_BOOTSTRAP=1 "$$fuzzer" run $$name $$inputs -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 \
	  || { echo "$$name: a finding. Copy the input named above to fuzz/regressions/$$name/ and mend the cause (CONTRIBUTING.md)." >&2; exit 1; }; \
	done

clean: ## Remove what demo and the build wrote.
	rm -rf $(DEMO)
	cargo clean

tools:
	@command -v cargo >/dev/null || { \
	  echo "cargo was not found: install Rust $(MIN_RUST) or newer from https://rustup.rs, then open a new shell" >&2; exit 1; }
	@have=$$(rustc --version | awk '{ print $$2 }'); \
	if [ "$$(printf '%s\n' $(MIN_RUST) "$$have" | sort -V | head -n 1)" != $(MIN_RUST) ]; then \
	  echo "Rust $$have is too old, $(MIN_RUST) is needed: run rustup update stable" >&2; exit 1; fi
	@$(call need,cc,gcc libc6-dev,a C compiler and linker)

tools-fuzz: tools
	@$(call need,c++,g++,a C++ compiler for libFuzzer)

# $(call need,command,apt packages,what it is): installs it where that needs no question, or says how.
define need
command -v $(1) >/dev/null || { \
  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
    echo "installing $(3): apt-get install $(2)"; apt-get update -q && apt-get install -qy --no-install-recommends $(2); \
  elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
    echo "installing $(3): sudo apt-get install $(2)"; sudo -n apt-get update -q && sudo -n apt-get install -qy --no-install-recommends $(2); \
  else \
    echo "$(1) was not found, and the build needs $(3): install it (Debian, Ubuntu: sudo apt-get install $(2); Fedora: sudo dnf install gcc-c++; macOS: xcode-select --install)" >&2; exit 1; \
  fi; }
endef
