#!/usr/bin/env python3
"""The same constrained job through llama-cpp-python, with its own grammar (GBNF), one sequence at a time.

    cargo bench --bench engine -- --write --model small
    .venv/bin/python benches/peers/engine_llama_cpp_python.py TARGET/tmp/engine-small.gguf

The form is that of `grammars/steps`: numbered steps, bounded counts, bounded lengths of the parts. GBNF bounds
characters as ours does. Decoding is greedy, on the raw logits.
What is written under the grammar is checked against a regular expression before anything is timed.
"""

import argparse
import re
import statistics
import time

import llama_cpp
from llama_cpp import Llama, LlamaGrammar

WORDS = (
    "the number of eggs in each tray first we need to find how many are left after half was sold then multiply by "
    "price and subtract what it cost so total is more than expected let me check that again"
).split()


def gbnf(steps: int, part: int, sub_problem: int) -> str:
    """`grammars/steps/form.lark` as GBNF: a list of exactly `steps` steps. A length of 0 is no bound."""

    def text(most: int) -> str:
        # A part begins as ours do: a space, a sign perhaps, then a character that opens no list and no tag.
        rest = "[^\\x00-\\x1F\\x7F]" + (f"{{0,{most - 3}}}" if most else "*")
        return (
            f'" " [-+]? ([^ \\t\\n\\r\\[\\]*+#>"\\\\\\x00-\\x1F\\x7F-] {rest} | ["\\\\\\]] {rest} '
            f"| \"[\" [^ \\t\\n\\r msqaMSQA\\x00-\\x1F\\x7F] {rest})"
        )

    rules = [f"part ::= {text(part)}", f"sub-problem ::= {text(sub_problem)}"]
    for n in range(1, steps + 1):
        follow = f'"\\n\\n" step-{n + 1}' if n < steps else '"\\n"'
        rules.append(
            f'step-{n} ::= "[Meta-reasoning {n}]:" part "\\n[Sub-problem {n}]:" sub-problem "\\n[Answer {n}]:" part {follow}'
        )
    return "\n".join(["root ::= step-1", *rules])


def is_whole_or_cut(text: str) -> bool:
    """Whether a text is a list of numbered steps, the last of which may be cut anywhere."""
    parts = re.split(r"(?:^|\n{1,2})\[(Meta-reasoning|Sub-problem|Answer) (\d+)\]:", text)
    if parts[0]:
        return False
    names = ["Meta-reasoning", "Sub-problem", "Answer"]
    tags = list(zip(parts[1::3], parts[2::3]))
    return bool(tags) and all(tag == (names[i % 3], str(i // 3 + 1)) for i, tag in enumerate(tags))


def prompt(model: Llama, length: int, number: int) -> list[int]:
    """A prompt of `length` tokens; another one for each number."""
    words = [WORDS[(7 * i * (number + 1) + i // 3 + number) % len(WORDS)] for i in range(length * 3)]
    return model.tokenize(" ".join(words).encode(), add_bos=False)[:length]


def write(model: Llama, tokens: list[int], count: int, grammar: LlamaGrammar | None) -> tuple[list[int], float]:
    """Writes `count` tokens; returns them and the seconds that it took. `generate` goes on behind a token that ends an
    output, so nothing has to be forbidden."""
    model.reset()
    out = []
    start = time.perf_counter()
    # temp 0 is greedy, a penalty of 1 is none.
    for token in model.generate(tokens, temp=0.0, repeat_penalty=1.0, grammar=grammar):
        out.append(token)
        if len(out) == count:
            break
    return out, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file that `cargo bench --bench engine -- --write` made")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--sequences", type=int, default=2, help="written one after the other")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--part", type=int, default=600)
    parser.add_argument("--sub-problem", type=int, default=300)
    options = parser.parse_args()

    print(f"llama-cpp-python {llama_cpp.__version__}: {llama_cpp.llama_print_system_info().decode()}")
    context = options.prompt + options.tokens + 8
    model = Llama(
        options.model, n_ctx=context, n_threads=options.threads, n_threads_batch=options.threads, n_batch=512,
        type_k=0, type_v=0, flash_attn=False, logits_all=False, verbose=False,
    )
    forms = {
        "no grammar": None,
        "GBNF": gbnf(options.steps, options.part, options.sub_problem),
        "GBNF, lengths not bounded": gbnf(options.steps, 0, 0),
    }
    forms = {name: form and LlamaGrammar.from_string(form, verbose=False) for name, form in forms.items()}
    prompts = [prompt(model, options.prompt, number) for number in range(options.sequences)]

    for form in filter(None, forms.values()):
        checked = write(model, prompts[0], min(options.tokens, 40), form)[0]
        text = model.detokenize(checked).decode(errors="replace")
        assert is_whole_or_cut(text), text

    rounds = {name: [] for name in forms}
    for _ in range(options.rounds):
        for name, form in forms.items():
            seconds = 0.0
            for tokens in prompts:
                out, took = write(model, tokens, options.tokens, form)
                assert len(out) == options.tokens, (name, len(out))
                seconds += took
            rounds[name].append(options.sequences * options.tokens / seconds)
    free = statistics.median(rounds["no grammar"])
    print("| llama-cpp-python, one sequence | tokens/s | smallest | largest | to no grammar | grammar's cost, ms a token |")
    print("|---|---|---|---|---|---|")
    for name, speeds in rounds.items():
        speed = statistics.median(speeds)
        cost = (1 / speed - 1 / free) * 1e3
        print(f"| {name} | {speed:.1f} | {min(speeds):.1f} | {max(speeds):.1f} | {speed / free:.3f} | {cost:.1f} |")


if __name__ == "__main__":
    main()
