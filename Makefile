# make help says what there is. Every target sets up what it needs or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz clean tools

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
RLKD := $(TARGET)/release/rlkd
DEMO := demo
# Runs a command with what .ci/tools found or installed.
WITH := .ci/tools
# The processors that demo and bench are built for: host (this one, with its vector instructions) or portable.
CPU ?= host
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

help: ## Print this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: tools ## Score the examples, print the table, write an HTML report (into demo/).
	$(WITH) --cpu=$(CPU) cargo build --release --locked
	@mkdir -p $(DEMO)
	@status=0; "$(RLKD)" score examples/problems.jsonl --restart -o $(DEMO)/scored.jsonl || status=$$?; \
	if [ $$status -ne 0 ] && [ $$status -ne 3 ]; then exit $$status; fi
	@"$(RLKD)" report $(DEMO)/scored.jsonl -o $(DEMO)/report.html
	@echo
	@echo "scores: $(DEMO)/scored.jsonl (one line for each student trace)"
	@echo "report: $(DEMO)/report.html (open it in a browser; it needs no network)"
	@echo "one pair in the terminal: $(RLKD) explain $(DEMO)/scored.jsonl --id math-bakery"

test: tools ## Run all tests, with the stored fuzz inputs replayed.
	$(WITH) cargo test --locked

bench: tools ## Run the benchmarks (what the figures mean: docs/benchmarks.md).
	$(WITH) --cpu=$(CPU) cargo bench --locked

fuzz: tools ## Fuzz every target for FUZZ_SECONDS (60) each; FUZZ_TARGETS="align mix" picks some.
	@if command -v cargo-fuzz >/dev/null; then fuzzer=cargo-fuzz; \
	else fuzzer="$(abspath $(TARGET))/tools/bin/cargo-fuzz"; \
	  if [ ! -x "$$fuzzer" ]; then echo "installing cargo-fuzz into $(TARGET)/tools"; \
	    cargo install cargo-fuzz --locked --root "$(TARGET)/tools"; fi; fi; \
	for name in $(FUZZ_TARGETS); do \
	  echo "== $$name, $(FUZZ_SECONDS) s"; \
	  mkdir -p fuzz/corpus/$$name; inputs=fuzz/corpus/$$name; \
	  for more in fuzz/seeds/$$name fuzz/regressions/$$name; do if [ -d $$more ]; then inputs="$$inputs $$more"; fi; done; \
	  RUSTC_BOOTSTRAP=1 $(WITH) "$$fuzzer" run $$name $$inputs -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 \
	  || { echo "$$name: a finding. Copy the input named above to fuzz/regressions/$$name/ and mend the cause (CONTRIBUTING.md)." >&2; exit 1; }; \
	done

clean: ## Remove what demo and the build wrote.
	rm -rf $(DEMO)
	cargo clean

tools:
	@.ci/tools
