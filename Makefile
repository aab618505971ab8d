# make help says what there is. Every target sets up what it needs or says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz clean tools

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
RLKD := $(TARGET)/release/rlkd
# The problems of the demo: docs/synth.md.
BED := --style people --steps 1..3 --depth 1..3 --distractors 0 --numbers 2..12 --in-order --teachers 2
# Runs a command with what .ci/tools found or installed.
WITH := .ci/tools
# The processors that demo and bench are built for: host (this one, with its vector instructions) or portable.
CPU ?= host
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

help: ## Print this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: tools ## Score examples with the built-in GSRM, train the built-in student for two minutes (into demo/).
	$(WITH) --cpu=$(CPU) cargo build --release --locked
	@mkdir -p demo && rm -rf demo/run
	@echo; echo "1. Traces of known quality, scored with steps that the built-in GSRM writes"
	@status=0; "$(RLKD)" score examples/bed.jsonl --decomposer gsrm --restart -o demo/scored.jsonl || status=$$?; \
	if [ $$status -ne 0 ] && [ $$status -ne 3 ]; then exit $$status; fi
	@"$(RLKD)" report demo/scored.jsonl -o demo/report.html
	@echo; echo "2. The built-in student learns from rewards for right answers and for its teachers' structure: some two minutes"
	@"$(RLKD)" synth --count 1000 --seed 62 $(BED) -o demo/bed.jsonl
	@"$(RLKD)" synth --count 100 --seed 961 $(BED) -o demo/held-out.jsonl
	@"$(RLKD)" train recipes/demo.toml
	@echo
	@echo "scores: demo/scored.jsonl and demo/report.html (open it in a browser; it needs no network)"
	@echo "training: demo/run/run.html (curves, and what the student wrote beside its teachers)"
	@echo "one pair in the terminal: $(RLKD) explain demo/scored.jsonl --id synth-train-5-1 --student 2"

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
	rm -rf demo
	cargo clean

tools:
	@.ci/tools
