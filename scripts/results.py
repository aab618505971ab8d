#!/usr/bin/env python3
"""The paper's claim on the test bed: trains every arm with several seeds, measures each, and prints the tables of docs/results.md.

    scripts/results.py --rlkd target/release/rlkd --out runs/results                 # everything; goes on where it stopped
    scripts/results.py --rlkd target/release/rlkd --out runs/results --arms sft,sft-grpo,rlkd --seeds 5
    scripts/results.py --out runs/results --table                                    # only the tables, of what is there

Arms are the tiny recipes in recipes/, some with a thing changed. Every run is `rlkd sft` or `rlkd train`, then `rlkd eval` on problems
that no run has seen (4 samples each, temperature 0.6, top-p 0.95). Runs on one thread each, as many at once as --jobs says; a run that was
stopped goes on from its checkpoint. A folder that was begun with other recipes, data or options is refused: name another --out. A run that
fails is told, and its arm shows how many seeds are left. Needs Python 3.10 and nothing else.
"""

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
BED = "--style people --steps 1..3 --depth 1..3 --distractors 0 --numbers 2..12 --in-order --teachers 2".split()
DATA = {
    "bed.jsonl": ["--count", "4000", "--seed", "62", *BED],
    "held-out.jsonl": ["--count", "200", "--seed", "961", *BED],
    "test.jsonl": ["--count", "250", "--seed", "970", *BED],
    # the same problems as in bed.jsonl, each with one and with eight teachers
    "bed-1.jsonl": ["--count", "4000", "--seed", "62", *BED[:-1], "1"],
    "bed-8.jsonl": ["--count", "4000", "--seed", "62", *BED[:-1], "8"],
}
GSRM = [("reward.llama.engine", "threads", "1"), ("reward.llama.engine", "parallel", "64")]
# An arm: its recipe, what is changed in it (section, key, value), and whether it stands on the SFT adapter of its seed.
ARMS = {
    "sft": ("sft-tiny", [], False),
    "sft-grpo": ("sft-grpo-tiny", [], True),
    "rlkd": ("rlkd-tiny", [], True),
    # 1 % of the problems, from the base: structure, the answer alone, and imitation of the same few
    "rlkd-zero": ("rlkd-zero-tiny", [("", "max_train_samples", "40")], False),
    "grpo-zero": ("rlkd-zero-tiny", [("", "max_train_samples", "40"), ("reward.weights", "structure", "0.0")], False),
    "sft few": ("sft-tiny", [("", "train", '["runs/few.jsonl"]'), ("", "validation_split", "0.0"), ("", "num_train_epochs", "10")], False),
    "decomposer gsrm": ("rlkd-tiny", [("reward", "decomposer", '"gsrm"'), *GSRM], True),
    "decomposer rules": ("rlkd-tiny", [("reward", "decomposer", '"rules"')], True),
    "reward prefix": ("rlkd-tiny", [("reward", "structure", '"prefix"')], True),
    "reward tree": ("rlkd-tiny", [("reward", "structure", '"tree"')], True),
    "reward soft": ("rlkd-tiny", [("reward", "soft", "true")], True),
    "1 teacher": ("rlkd-tiny", [("", "train", '["runs/bed-1.jsonl"]')], True),
    "8 teachers": ("rlkd-tiny", [("", "train", '["runs/bed-8.jsonl"]')], True),
    "tree 8 teachers": ("rlkd-tiny", [("", "train", '["runs/bed-8.jsonl"]'), ("reward", "structure", '"tree"')], True),
    "reward reference": ("rlkd-tiny", [("reward", "structure", '"reference"'), ("reward", "decomposer", '"rules"')], True),
    "weights 1 : 0.25": ("rlkd-tiny", [("reward.weights", "structure", "0.25")], True),
    "weights 1 : 4": ("rlkd-tiny", [("reward.weights", "structure", "4.0")], True),
    "weights 0 : 1": ("rlkd-tiny", [("reward.weights", "accuracy", "0.0")], True),
}
MAIN = ["sft few", "grpo-zero", "rlkd-zero", "sft", "sft-grpo", "rlkd"]
FIGURES = ["pass@1", "pass@4", "agreement", "structure", "overpaid", "distinct_orders", "tokens"]
# A sample with this structure reward has the whole path, as far as the reward can see.
WHOLE = 0.99
# Two-sided 95 % of Student's t, by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201}
# What is the same in all runs by rewards: 24 rounds, no evaluation on the way, and no end before the end.
SHARED = [
    ("", "max_steps", "96"), ("", "eval_steps", "0"), ("", "max_eval_samples", "50"), ("", "eval_on_start", "false"),
    ("", "max_reward_drop", "0.0"),
]


def recipe_text(name):
    """A recipe without its comments, which may change."""
    return re.sub(r"(?m) *#.*$", "", (RECIPES / f"{name}.toml").read_text()).lstrip()


def changed(text, changes):
    """A run file with keys set; a key that is there is replaced, another is put at the head of its section."""
    for section, key, value in changes:
        parts = re.split(r"(?m)^(?=\[)", text)
        head = f"[{section}]" if section else None
        at = 0 if head is None else next((i for i, part in enumerate(parts) if part.startswith(head + "\n")), None)
        if at is None:
            parts.append(f"\n{head}\n{key} = {value}\n")
        else:
            line = re.compile(rf"(?m)^{re.escape(key)} *=.*$")
            if line.search(parts[at]):
                parts[at] = line.sub(lambda _: f"{key} = {value}", parts[at])
            elif head is None:
                parts[at] = f"{parts[at].rstrip()}\n{key} = {value}\n\n"
            else:
                parts[at] = parts[at].replace(head + "\n", f"{head}\n{key} = {value}\n", 1)
        text = "".join(parts)
    return text


def call(args, folder, *command, out=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(folder / "log.txt", "a") as log:
        command = [args.rlkd, *map(str, command)]
        done = subprocess.run(command, cwd=args.out, check=True, stdout=out or log, stderr=log, env=environment, text=True)
    return done.stdout


def name_of(arm, seed):
    return f"{re.sub(r'[^a-z0-9.]+', '-', arm)}-{seed}"


def measure(args, name, adapters):
    folder = args.out / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "eval.json"
    if not done.exists():
        adapters = [part for adapter in adapters for part in ("--adapter", adapter)]
        found = call(
            args, folder, "eval", "--model", args.model, *adapters, "--data", "runs/test.jsonl", "-n", 4, "--max-tokens", 256, "--threads", 1,
            "--parallel", 64, "-q", "--json", "-o", f"runs/{name}/eval.jsonl", out=subprocess.PIPE,
        )
        partial = done.with_suffix(".partial")
        partial.write_text(found)
        os.replace(partial, done)


def run(args, arm, seed):
    recipe, changes, stands = ARMS[arm]
    name = name_of(arm, seed)
    folder = args.out / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    adapters = [f"runs/{name_of('sft', seed)}/run/adapter"] if stands else []
    own = [("", "model", json.dumps(args.model)), ("", "output_dir", f'"runs/{name}/run"'), ("", "seed", str(seed)), ("", "threads", "1")]
    if stands:
        own.append(("", "frozen_adapters", json.dumps(adapters)))
    text = recipe_text(recipe)
    own += [("", "bf16", "true")] if args.bf16 and recipe == "sft-tiny" else []
    text = changed(text, [*(SHARED if recipe != "sft-tiny" else []), *changes, *own])
    path = args.out / "runs" / f"{name}.toml"
    if path.exists() and path.read_text() != text:
        raise SystemExit(f"{path} is of another recipe: name another --out")
    path.write_text(text)
    mine = f"runs/{name}/run/adapter"
    if not (args.out / mine).exists():
        call(args, folder, "sft" if recipe == "sft-tiny" else "train", f"runs/{name}.toml", "-q")
    measure(args, name, [*adapters, mine])
    print(f"{name}: done", file=sys.stderr, flush=True)


def attempt(args, arm, seed):
    try:
        run(args, arm, seed)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name_of(arm, seed)}: {error}; its log.txt says more", file=sys.stderr, flush=True)


def overpaid(path):
    """The share of samples that get the whole structure reward without the true structure: what a hack of the reward looks like."""
    lines = path.read_text().splitlines()[1:]
    samples = [sample for line in lines for sample in json.loads(line)["samples"]]
    known = [one for one in samples if "structure" in one and "agreement" in one]
    return sum(one["structure"] >= WHOLE > one["agreement"] for one in known) / len(known) if known else math.nan


def found_in(folder):
    path = folder / "eval.json"
    if not path.exists():
        return None
    found = {name: one["mean"] for name, one in json.loads(path.read_text()).items()}
    lines = folder / "eval.jsonl"
    return {**found, "overpaid": overpaid(lines)} if lines.exists() else found


def figures(args, arm, seed):
    return found_in(args.out / "runs" / name_of(arm, seed))


def interval(values):
    mean = statistics.mean(values)
    half = T95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{mean:.3f} ± {half:.3f}" if len(values) > 1 else f"{mean:.3f}"


def table(args, arms, seeds):
    print("| arm | seeds | " + " | ".join(FIGURES) + " |")
    print("|---|---|" + "---|" * len(FIGURES))
    base = found_in(args.out / "runs" / "base")
    rows = [("base", [base])] if base else []
    rows += [(arm, [found for seed in seeds if (found := figures(args, arm, seed))]) for arm in arms]
    for arm, found in rows:
        if found:
            cells = [interval([one[name] for one in found]) if all(name in one for one in found) else "" for name in FIGURES]
            of = f" of {len(seeds)}" if arm != "base" else ""
            print(f"| {arm} | {len(found)}{of} | " + " | ".join(cells) + " |")


def differences(args, arms, seeds, other):
    print(f"\nDifferences from `{other}` of the same seed:\n")
    print("| arm | seeds | " + " | ".join(FIGURES[:5]) + " |")
    print("|---|---|" + "---|" * 5)
    for arm in arms:
        pairs = [(a, b) for seed in seeds if (a := figures(args, arm, seed)) and (b := figures(args, other, seed))]
        if pairs and arm != other:
            cells = [interval([a[name] - b[name] for a, b in pairs]) for name in FIGURES[:5]]
            print(f"| {arm} | {len(pairs)} of {len(seeds)} | " + " | ".join(cells) + " |")


def same_as_before(args):
    """What all arms of a folder have in common, kept in it when it is begun."""
    shared = {"data": DATA, "model": args.model, "bf16": args.bf16, "shared": SHARED, "sft": recipe_text("sft-tiny")}
    path = args.out / "runs" / "settings.json"
    text = json.dumps(shared, indent=1)
    if path.exists() and path.read_text() != text:
        raise SystemExit(f"{path}: this folder was begun with other settings (data, model, --bf16, recipes/sft-tiny.toml): name another --out")
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rlkd", default="rlkd", help="the program")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="where runs are kept")
    parser.add_argument("--model", default="student-tiny")
    parser.add_argument("--arms", default=",".join(ARMS), help="some of: " + ", ".join(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--bf16", action="store_true", help="SFT in bf16, where the processor has AMX or AVX512-BF16")
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    arms, seeds = args.arms.split(","), range(1, args.seeds + 1)
    if args.seeds > len(T95) + 1:
        parser.error(f"at most {len(T95) + 1} seeds")
    if args.model.endswith(".gguf"):
        args.model = str(Path(args.model).resolve())
    if unknown := [arm for arm in arms if arm not in ARMS]:
        parser.error(f"no arm is called {unknown[0]!r}; there are {', '.join(ARMS)}")
    if not args.table:
        if "/" in args.rlkd:
            args.rlkd = str(Path(args.rlkd).resolve())
        if not shutil.which(args.rlkd):
            parser.error(f"there is no program {args.rlkd}: cargo build --release makes target/release/rlkd")
        (args.out / "runs").mkdir(parents=True, exist_ok=True)
        same_as_before(args)
        for name, options in DATA.items():
            if not (args.out / "runs" / name).exists():
                call(args, args.out, "synth", *options, "-o", f"runs/{name}")
        few = (args.out / "runs" / "bed.jsonl").read_text().splitlines(keepends=True)[:40]
        (args.out / "runs" / "few.jsonl").write_text("".join(few))
        measure(args, "base", [])
        # What others stand on first; then seed by seed, so that a table of few seeds can be had early.
        first = [("sft", seed) for seed in seeds if "sft" in arms or any(ARMS[arm][2] for arm in arms)]
        then = [(arm, seed) for seed in seeds for arm in arms if arm != "sft"]
        pool = ThreadPoolExecutor(args.jobs)
        try:
            for batch in (first, then):
                for done in [pool.submit(attempt, args, arm, seed) for arm, seed in batch]:
                    done.result()
        finally:
            pool.shutdown(cancel_futures=True)
    main_arms, rest = [arm for arm in MAIN if arm in arms], [arm for arm in arms if arm not in MAIN]
    table(args, main_arms, seeds)
    differences(args, main_arms, seeds, "sft-grpo")
    if rest:
        print()
        table(args, ["rlkd", *rest], seeds)
        differences(args, rest, seeds, "rlkd")


if __name__ == "__main__":
    main()
