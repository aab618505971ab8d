#!/usr/bin/env python3
"""Whole GRPO steps of TRL's GRPOTrainer with peft, beside those of `rlkd train`.

    .venv/bin/pip install torch transformers peft trl gguf datasets
    .venv/bin/python benches/peers/grpo_trl.py RUN.toml --rlkd target/release/rlkd --rounds 3 --steps 4

Reads the run file of `rlkd train` for model, problems and sizes, and runs both with them in turn, `--rounds` times, each in a process of
its own: the same prompts, lengths, rank, learning rate, threads, and the same weights (llama.cpp multiplies them in eight bits,
`transformers` in float32). TRL's reward is whether the boxed answer is the gold one, a regular expression; ours is that and structure.
What is timed is a whole step (roll-out, reward, update); the first of each run is left out. Both have to write and to solve alike, or
there is no figure. Prints medians and ratios.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path


# Keys of a run file that both sides follow.
KNOWN = {
    "model", "output_dir", "train", "max_train_samples", "num_generations", "per_device_train_batch_size", "max_completion_length",
    "micro_batch_tokens", "gradient_checkpointing", "lora", "optim",
}


def problems_of(run):
    count = run.get("max_train_samples") or None
    lines = [line for path in run["train"] for line in open(path)]
    return [json.loads(line) for line in lines[:count]]


def tokenizer_of(path):
    """The tokenizer and the chat template of a GGUF file whose tokens are a byte-level BPE."""
    import gguf
    import transformers
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    reader = gguf.GGUFReader(path)
    field = lambda key: (found := reader.get_field(f"tokenizer.{key}")) and found.contents()
    tokens, merges = field("ggml.tokens"), [tuple(merge.split(" ", 1)) for merge in field("ggml.merges")]
    own = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, merges))
    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    own.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, field("ggml.token_type")) if kind == 3]
    own.add_special_tokens([AddedToken(token, special=True) for token in control])
    end = tokens[field("ggml.eos_token_id")]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, eos_token=end, pad_token=end, padding_side="left", chat_template=field("chat_template")
    )


def peer(args, run):
    """Runs TRL and prints a line of JSON for each step."""
    import peft
    import torch
    import transformers
    import trl
    from datasets import Dataset

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "golden"))
    import peft_training
    import transformers_logits

    torch.set_num_threads(args.threads)
    _, model = transformers_logits.model_of(run["model"], "sdpa")
    tokenizer = tokenizer_of(run["model"])
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    rows = [{"prompt": [{"role": "user", "content": one["problem"]}], "gold": one["answer"]} for one in problems_of(run)]

    def accuracy(completions, gold, **_):
        boxed = [re.findall(r"\\boxed\{([^}]*)\}", one[-1]["content"]) for one in completions]
        return [float(bool(found) and found[-1] == right) for found, right in zip(boxed, gold)]

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.begin = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.seconds = time.perf_counter() - self.begin

        def on_log(self, _args, _state, _control, logs=None, **__):
            if logs and "completions/mean_length" in logs:
                length = logs["completions/mean_length"]
                tokens = length * run["per_device_train_batch_size"]
                print(json.dumps({"seconds": self.seconds, "tokens": tokens, "reward": logs["reward"]}), flush=True)

    lora = run.get("lora", {})
    with tempfile.TemporaryDirectory() as folder:
        config = trl.GRPOConfig(
            output_dir=folder, use_cpu=True, bf16=args.bf16, max_steps=args.steps, logging_steps=1, save_strategy="no",
            report_to=[], disable_tqdm=True, seed=0, gradient_checkpointing=False, beta=0.0, loss_type="dapo",
            per_device_train_batch_size=run["per_device_train_batch_size"], num_generations=run["num_generations"],
            max_completion_length=run["max_completion_length"], learning_rate=run["optim"]["learning_rate"],
            temperature=1.0, top_p=1.0, lr_scheduler_type="constant",
        )
        trainer = trl.GRPOTrainer(
            model=model, args=config, reward_funcs=accuracy, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            callbacks=[Clock()],
            peft_config=peft.LoraConfig(
                r=lora.get("r", 16), lora_alpha=lora.get("lora_alpha", 32), target_modules=list(peft_training.MODULES)
            ),
        )
        trainer.train()


def ours(args, run, text):
    """Runs `rlkd train` and gives the same for each step."""
    with tempfile.TemporaryDirectory() as folder:
        head = f'output_dir = "{folder}/run"\nmax_steps = {args.steps}\nthreads = {args.threads}\neval_on_start = false\n'
        drop = re.compile(r"^(output_dir|max_steps|threads|eval_on_start|eval_steps|validation|bf16) *=.*$", re.M)
        head += f"bf16 = {str(args.bf16).lower()}\n"
        path = Path(folder) / "run.toml"
        path.write_text(head + drop.sub("", text))
        subprocess.run([args.rlkd, "train", path, "-q"], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(Path(folder) / "run" / "metrics.jsonl")]
    batch = run["per_device_train_batch_size"]
    return [
        {
            "seconds": line["step_time"], "tokens": line["completions/mean_length"] * batch, "reward": line["rewards/accuracy/mean"],
            "shares": [line[f"time/{part}"] / line["step_time"] for part in ("rollout", "score", "update")],
        }
        for line in lines if "step_time" in line
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run file of rlkd train")
    parser.add_argument("--rlkd", help="the program; without it only TRL runs, once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 in both")
    args = parser.parse_args()
    text = Path(args.run).read_text()
    run = tomllib.loads(text)
    if unknown := set(run) - KNOWN:
        parser.error(f"{args.run}: {', '.join(sorted(unknown))}: TRL would not be told; take benches/peers/grpo.toml")
    if not args.rlkd:
        return peer(args, run)
    command = [sys.executable, __file__, args.run, "--steps", str(args.steps), "--threads", str(args.threads)]
    command += ["--bf16"] * args.bf16
    found = {"rlkd": [], "TRL": []}
    ratios = []
    for _ in range(args.rounds):
        own = ours(args, run, text)[1:]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        other = [json.loads(line) for line in out.splitlines() if line.startswith('{"seconds"')][1:]
        found["rlkd"] += own
        found["TRL"] += other
        rate = lambda steps: statistics.median(step["tokens"] / step["seconds"] for step in steps)
        ratios.append(rate(own) / rate(other))
    for name, steps in found.items():
        seconds = [step["seconds"] for step in steps]
        tokens = [step["tokens"] for step in steps]
        reward = statistics.mean(step["reward"] for step in steps)
        print(
            f"{name}: {statistics.median(seconds):.2f} s a step ({min(seconds):.2f}-{max(seconds):.2f}), "
            f"{statistics.mean(tokens):.0f} tokens, {statistics.median(t / s for t, s in zip(tokens, seconds)):.0f} tokens/s, right {reward:.3f}"
        )
    shares = zip(*(step["shares"] for step in found["rlkd"]))
    print("rlkd's shares of roll-out, score, update: " + ", ".join(f"{statistics.median(share):.3f}" for share in shares))
    # Problems differ from step to step, so shares of right answers do, too: some hundred problems of which a third are solved.
    for what, most in (("tokens", 0.15), ("reward", 0.2)):
        own, other = (statistics.mean(step[what] for step in steps) for steps in found.values())
        if abs(own - other) > most * (max(own, other) if what == "tokens" else 1.0):
            sys.exit(f"no figure: the two do not do the same work, {what} {own:.3f} and {other:.3f} on average")
    print(f"tokens a second, rlkd to TRL: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
