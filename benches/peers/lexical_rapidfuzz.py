#!/usr/bin/env python3
"""The peer for lexical judging: a plain Python loop over rapidfuzz that computes the judge's features.

    cargo bench --bench lexical                      # with RLKD_FEATURES=features.jsonl set
    python lexical_rapidfuzz.py matcher_pairs.jsonl --model ../../models/lexical.json --check features.jsonl

It computes the twelve features of src/judge/features.rs for each pair, results masked, from strings to numbers. With
--check it first compares its values with ours and says for how many pairs all agree; only then it times the loop:
plain (every pair by itself) and memoised (each distinct step is read once, as the judge does). Reading files is not
timed. Medians of --repeats passes.
"""

import argparse
import functools
import json
import platform
import re
import statistics
import sys
import time

import rapidfuzz
from rapidfuzz import fuzz

WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’])*")
TOKEN = re.compile(
    r"(?P<word>[A-Za-z]+)[0-9]*"
    r"|(?P<number>[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3}(?![0-9]))+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+)"
)
LIST_MARK = re.compile(r"[.)][ \t*]")
MARKS_ONLY = re.compile(r"[ \t*#-]*")
LABELS = {"step", "steps", "part", "question", "case", "method", "approach", "option"}
NUMBER_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "twice": 2,
    "double": 2, "doubled": 2, "half": 2, "thrice": 3, "triple": 3, "quarter": 4, "dozen": 12,
}
SIGNS = {"+": 1, "−": 2, "–": 2, "*": 4, "×": 4, "·": 4, "/": 8, "÷": 8}
FILLERS = ("approximately", "about", "only", "exactly", "simply", "just", "now", "indeed", "also", "a total of")


def stem(word):
    word = word.rstrip("'’")
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word.encode()) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def words(text):
    found = set()
    for match in WORD.finditer(text):
        if match.start() and text[match.start() - 1] == "\\":
            continue
        word = stem(match.group().lower())
        if word:
            found.add(word)
    return found


def same(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1.0)


def numbers(text):
    """(value, start) of each number."""
    found, label, end = [], False, 0
    for match in TOKEN.finditer(text):
        if any(c not in " *#\t" for c in text[end:match.start()]):
            label = False
        end = match.end()
        if match["word"]:
            word = match["word"].lower()
            if word in NUMBER_WORDS and not (match.start() and text[match.start() - 1] == "\\"):
                found.append((float(NUMBER_WORDS[word]), match.start()))
            label = word in LABELS
            continue
        mark = False
        if match.end() - match.start() <= 2 and LIST_MARK.match(text, match.end()):
            line = text.rfind("\n", 0, match.start()) + 1
            mark = MARKS_ONLY.fullmatch(text, line, match.start()) is not None
        if not mark and not label:
            digits = re.sub(r",|\{,\}|\\,", "", match["number"])
            found.append((float(digits), match.start()))
        label = False
    return found


def trim_marks(text):
    while True:
        cut = text.rstrip().rstrip("$€£*({[~:\\ \t\n\r")
        for box in ("\\boxed", "boxed"):
            if cut.endswith(box):
                cut = cut[: -len(box)]
                break
        for word in FILLERS:
            if cut.lower().endswith(word) and not cut[: -len(word)][-1:].isalnum():
                cut = cut[: -len(word)]
                break
        if len(cut) == len(text):
            return text
        text = cut


def operations(text, found):
    mask = 0
    for _, start in found:
        before = trim_marks(text[:start])
        last, rest = before[-1:], before[:-1]
        if last == "-":
            trimmed = rest.rstrip()
            if len(trimmed) < len(rest) or trimmed[-1:].isdigit() or trimmed[-1:] in tuple(")}%$"):
                mask |= 2
        elif last in ("x", "X"):
            if rest[-1:].isspace() or rest[-1:].isdigit() or rest.endswith(")"):
                mask |= 4
        elif last in SIGNS:
            mask |= SIGNS[last]
        elif before.endswith(("\\times", "\\cdot")):
            mask |= 4
        elif before.endswith("\\div"):
            mask |= 8
        gap = len(text[:start]) - len(text[:start].rstrip(" $(\\"))
        star = start - gap - 1
        if star >= 0 and text[star] == "*":
            previous = text[star - 1 : star] if star else ""
            if gap > 0 or (previous and (previous.isalnum() or previous in ")}%")):
                mask |= 4
    return mask | (8 if "\\frac" in text else 0)


def distinct(values):
    kept = []
    for value in sorted(values):
        if not kept or not same(kept[-1], value):
            kept.append(value)
    return kept


def read(question, answer, result):
    """Everything that is read of one step."""
    in_question, in_answer = words(question), words(answer)
    found = numbers(answer)
    values = [value for value, _ in found]
    if len(distinct(values)) <= 1:
        values += [value for value, _ in numbers(question)]
    if result is not None:
        values = [value for value in values if not same(value, result)]
    return question.strip(), in_question, in_answer, in_question | in_answer, distinct(values), operations(answer, found)


def weight(bag, idf, unknown):
    return sum(idf.get(word, unknown) for word in bag)


def overlap(a, b, idf, unknown):
    total = weight(a | b, idf, unknown)
    return weight(a & b, idf, unknown) / total if total > 0 else 0.0


def compare(left, right, idf, unknown):
    """The features of a pair, in the order of src/judge/features.rs."""
    question1, q1, a1, s1, operands1, mask1 = left
    question2, q2, a2, s2, operands2, mask2 = right
    asked = bool(q1) and bool(q2)
    shared = sum(any(same(x, y) for y in operands2) for x in operands1)
    either = len(operands1) + len(operands2) - shared
    coverage = weight(s1, idf, unknown)
    return (
        fuzz.ratio(question1, question2) / 100.0 if asked else 0.0,
        overlap(q1, q2, idf, unknown) if asked else 0.0,
        float(not asked),
        overlap(s1, s2, idf, unknown),
        weight(s1 & s2, idf, unknown) / coverage if coverage > 0 else 0.0,
        overlap(a1, a2, idf, unknown),
        shared / either if either else 0.0,
        float(shared > 0 and shared == len(operands1) == len(operands2)),
        float(shared > 0 and shared in (len(operands1), len(operands2))),
        float(not operands1 and not operands2),
        float(bool(operands1) != bool(operands2)),
        (mask1 & mask2).bit_count() / (mask1 | mask2).bit_count() if mask1 | mask2 else 0.5,
    )


def timed(repeats, work):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="gold_q, gold_a, gold_value, other_q, other_a, other_value a line")
    parser.add_argument("--model", required=True, help="models/lexical.json: the weights of words")
    parser.add_argument("--check", help="our features, written by the bench with RLKD_FEATURES")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with open(arguments.model, encoding="utf-8") as file:
        model = json.load(file)
    idf, unknown = model["words"], model["unknown_word"]
    with open(arguments.pairs, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pairs = [
        ((r["gold_q"], r["gold_a"], r["gold_value"]), (r["other_q"], r["other_a"], r["other_value"])) for r in rows
    ]
    if arguments.check:
        with open(arguments.check, encoding="utf-8") as file:
            ours = [json.loads(line) for line in file]
        theirs = [compare(read(*a), read(*b), idf, unknown) for a, b in pairs]
        agree = [all(abs(x - y) < 1e-4 for x, y in zip(o, t)) for o, t in zip(ours, theirs, strict=True)]
        print(f"all 12 features agree to 1e-4 on {sum(agree)} of {len(pairs)} pairs")
        for column in range(12):
            worst = sum(abs(o[column] - t[column]) >= 1e-4 for o, t in zip(ours, theirs))
            if worst:
                print(f"  feature {column}: {worst} pairs differ")

    def plain():
        for a, b in pairs:
            compare(read(*a), read(*b), idf, unknown)

    def memoised():
        cached = functools.cache(read)
        for a, b in pairs:
            compare(cached(*a), cached(*b), idf, unknown)

    print(f"Python {platform.python_version()}, rapidfuzz {rapidfuzz.__version__}, {platform.machine()}")
    for name, work in (("plain", plain), ("memoised", memoised)):
        seconds = timed(arguments.repeats, work)
        print(f"{name}: {len(pairs) / seconds:,.0f} pairs/s, {1e6 * seconds / len(pairs):.2f} µs a pair")


if __name__ == "__main__":
    sys.exit(main())
