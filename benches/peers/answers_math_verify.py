#!/usr/bin/env python3
"""The peer for checking answers: Math-Verify, as it is used.

    pip install math-verify[antlr4_13_2]==0.9.0
    cargo bench --bench answers -- --data real_model_answers.jsonl --peer .venv/bin/python

For every {"gold", "pred"} of a file: both between dollars, `parse`, `parse`, `verify`, with the defaults. Prints one JSON
object: "same", the verdicts, and "seconds", the time of each pair. A first pass over some pairs fills its caches of
regular expressions and is not counted. Where it gives up after its five seconds, the verdict is "not the same".
"""

import json
import logging
import sys
import time

from math_verify import parse, verify


def main():
    logging.disable(logging.CRITICAL)
    pairs = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
    pairs = [(f"${pair['gold']}$", f"${pair['pred']}$") for pair in pairs]
    for gold, pred in pairs[:20]:
        verify(parse(gold), parse(pred))
    same, seconds = [], []
    for gold, pred in pairs:
        start = time.perf_counter()
        found = verify(parse(gold), parse(pred))
        seconds.append(time.perf_counter() - start)
        same.append(bool(found))
    json.dump({"same": same, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
