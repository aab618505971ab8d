#!/usr/bin/env python3
"""The peer for lexical judging: a plain Python loop over rapidfuzz.

Reads pairs of steps, computes the features of a lexical judge for each pair, and prints how many pairs
a second it makes. With --out it writes the values, so that they can be compared with ours before anything
is timed: agree first, then time.

Pairs, one JSON object a line: {"q1", "a1", "q2", "a2"} (question and answer of two steps). --convert turns
a file with gold_q, gold_a, other_q, other_a into that form.

Features of a pair, all in [0, 1]:
  ratio           rapidfuzz.fuzz.ratio of the questions / 100
  token_set       rapidfuzz.fuzz.token_set_ratio of the questions / 100
  question_words  idf-weighted overlap of the questions' words: idf of the common words over idf of all words
  operands        overlap of the numbers in the answers with the result masked: |common| / |all| as multisets
  answer_words    idf-weighted overlap of the answers' words

What is timed is the loop over the pairs, from strings to five numbers. Reading files is not timed.
"""

import argparse
import json
import math
import platform
import re
import statistics
import sys
import time
from collections import Counter

import rapidfuzz
from rapidfuzz import fuzz

FEATURES = ("ratio", "token_set", "question_words", "operands", "answer_words")
WORD = re.compile(r"[a-z]+")
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")
# GSM8K marks calculations as <<48/2=24>>; they repeat what stands beside them.
MARK = re.compile(r"<<[^<>]*>>")


def words(text):
    """The set of lower-case words of a text."""
    return set(WORD.findall(text.lower()))


def numbers(text):
    """The numbers of a text in order, as floats."""
    return [float(number.replace(",", "")) for number in NUMBER.findall(MARK.sub("", text))]


def operands(answer):
    """The numbers of an answer as a multiset, without the result: every occurrence of the last number is masked."""
    found = numbers(answer)
    return Counter(number for number in found if number != found[-1])


def weighted_overlap(first, second, idf, unknown):
    """Summed idf of the common words over summed idf of all words; 0 when there are none.

    fsum, because sets have no fixed order and the value must not depend on it.
    """
    total = math.fsum(idf.get(word, unknown) for word in first | second)
    return math.fsum(idf.get(word, unknown) for word in first & second) / total if total else 0.0


def multiset_overlap(first, second):
    """Size of the intersection over size of the union; 0 when both are empty."""
    union = (first | second).total()
    return (first & second).total() / union if union else 0.0


def features(q1, a1, q2, a2, idf, unknown):
    """The five features of a pair, in the order of FEATURES."""
    return (
        fuzz.ratio(q1, q2) / 100.0,
        fuzz.token_set_ratio(q1, q2) / 100.0,
        weighted_overlap(words(q1), words(q2), idf, unknown),
        multiset_overlap(operands(a1), operands(a2)),
        weighted_overlap(words(a1), words(a2), idf, unknown),
    )


def read_pairs(path, convert, limit):
    """The pairs of a JSONL file as tuples (q1, a1, q2, a2)."""
    keys = ("gold_q", "gold_a", "other_q", "other_a") if convert else ("q1", "a1", "q2", "a2")
    pairs = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if limit is not None and len(pairs) == limit:
                break
            if not line.strip():
                continue
            record = json.loads(line)
            missing = [key for key in keys if key not in record]
            if missing:
                hint = "" if convert else " (a file with gold_q, gold_a, … needs --convert)"
                sys.exit(f"{path}:{number}: no {', '.join(missing)}{hint}")
            pairs.append(tuple(record[key] for key in keys))
    if not pairs:
        sys.exit(f"{path}: no pairs in it")
    return pairs


def make_idf(pairs):
    """Inverse document frequency over all questions and answers: ln((1 + n) / (1 + df)) + 1, as a table."""
    texts = [words(text) for pair in pairs for text in pair]
    counts = Counter(word for text in texts for word in text)
    return {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in sorted(counts.items())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="JSONL file of pairs")
    parser.add_argument("--convert", action="store_true", help="read gold_q, gold_a, other_q, other_a")
    parser.add_argument("--idf", help="JSON object word -> idf; without it the table is made from the pairs")
    parser.add_argument("--write-idf", metavar="FILE", help="write the table that is used, so that both sides share it")
    parser.add_argument("--out", metavar="FILE", help="write the feature values, one object for each pair")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes over all pairs (default 5)")
    parser.add_argument("--limit", type=int, help="only the first so many pairs")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    options = parser.parse_args()

    pairs = read_pairs(options.pairs, options.convert, options.limit)
    if options.idf:
        with open(options.idf, encoding="utf-8") as file:
            idf = json.load(file)
    else:
        idf = make_idf(pairs)
    # A word that the table does not know weighs as much as the rarest one that it knows.
    unknown = max(idf.values(), default=1.0)
    if options.write_idf:
        with open(options.write_idf, "w", encoding="utf-8") as file:
            json.dump(idf, file, ensure_ascii=False, sort_keys=True)

    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            for pair in pairs:
                values = features(*pair, idf, unknown)
                file.write(json.dumps(dict(zip(FEATURES, values))) + "\n")

    rates = []
    for _ in range(options.repeats):
        checksum = 0.0
        begun = time.perf_counter()
        for q1, a1, q2, a2 in pairs:
            checksum += sum(features(q1, a1, q2, a2, idf, unknown))
        rates.append(len(pairs) / (time.perf_counter() - begun))

    result = {
        "pairs": len(pairs),
        "pairs_per_second": round(statistics.median(rates), 1) if rates else None,
        "slowest": round(min(rates), 1) if rates else None,
        "fastest": round(max(rates), 1) if rates else None,
        "repeats": options.repeats,
        "checksum": checksum if rates else None,
        "python": platform.python_version(),
        "rapidfuzz": rapidfuzz.__version__,
    }
    if options.json:
        print(json.dumps(result))
    elif rates:
        print(
            f"{result['pairs_per_second']:,.0f} pairs/s, median of {options.repeats} passes over {len(pairs):,} pairs "
            f"({result['slowest']:,.0f} to {result['fastest']:,.0f}); rapidfuzz {rapidfuzz.__version__}, "
            f"Python {platform.python_version()}"
        )


if __name__ == "__main__":
    main()
