"""Golden values for tests/sampling.rs: what transformers' logits processors leave of random logits.

    python -m venv venv && venv/bin/pip install torch transformers
    venv/bin/python tests/golden/sampling/make.py > tests/golden/sampling/golden.json

Each case has the settings by the names of `Sampling`, the logits, the tokens before, and the log-probabilities of
the tokens that are left, by id.
"""
import json
import sys

import torch
import transformers
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

SETTINGS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7},
    {"top_k": 5},
    {"top_k": 1},
    {"top_p": 0.9},
    {"top_p": 0.3},
    {"min_p": 0.05},
    {"min_p": 0.5},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.8},
    {"temperature": 0.6, "top_k": 20, "top_p": 0.95},
    {"temperature": 1.5, "top_p": 0.95, "min_p": 0.1},
    {"repetition_penalty": 1.1, "temperature": 0.8, "top_k": 12, "top_p": 0.8, "min_p": 0.02},
]


def processors(settings):
    """In the order of `GenerationMixin._get_logits_processor`."""
    made = LogitsProcessorList()
    if "repetition_penalty" in settings:
        made.append(RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    if "temperature" in settings:
        made.append(TemperatureLogitsWarper(settings["temperature"]))
    if "top_k" in settings:
        made.append(TopKLogitsWarper(settings["top_k"]))
    if "top_p" in settings:
        made.append(TopPLogitsWarper(settings["top_p"]))
    if "min_p" in settings:
        made.append(MinPLogitsWarper(settings["min_p"]))
    return made


def main():
    torch.manual_seed(0)
    cases = []
    for spread in [1.0, 4.0]:
        for settings in SETTINGS:
            # Multiples of 1/64 are short in JSON and exact in float32; distinct, as torch does not order ties.
            logits = (torch.randperm(1024)[:40].float() - 512) / 64 * (spread / 4)
            before = torch.randint(0, 40, (12,))
            scores = processors(settings)(before[None], logits[None].clone())[0]
            left = torch.log_softmax(scores.double(), -1)
            cases.append(
                {
                    "settings": settings,
                    "logits": logits.tolist(),
                    "before": before.tolist(),
                    "left": {str(i): round(left[i].item(), 7) for i in range(40) if left[i] > -torch.inf},
                }
            )
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    sys.stdout.write(f'{{"made_with":{json.dumps(versions)},"cases":[\n{lines}\n]}}\n')


main()
