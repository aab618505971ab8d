#!/usr/bin/env python3
"""Training steps of PyTorch, transformers and peft, for `cargo bench --bench train -- --peer PYTHON`.

The bench writes the model and starts this script, which answers each line on standard input with one step: a line of
JSON with its loss and its seconds. Both sides then take turns on the same machine. By hand:

    yes | head -5 | .venv/bin/python benches/peers/train_peft.py MODEL.gguf --texts 16 --length 256 --rank 16

The model is read with the script that made the golden files, so weights, adapters and texts are those of the bench. What
is timed is a step as it is usually written: forward with labels, backward, clip, AdamW.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

import peft
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "golden"))
import peft_training
import transformers_logits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rank", type=int, default=16, help="0 trains all weights")
    parser.add_argument("--alpha", type=float, default=32.0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--checkpointing", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    name, model = transformers_logits.model_of(args.model, "sdpa")
    config = model.config
    config.use_cache = False
    model = model.to(getattr(torch, args.dtype))
    if args.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if args.rank:
        lora = peft.LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules=list(peft_training.MODULES))
        # In bfloat16 peft keeps adapters in float32, as it does by default.
        model = peft.get_peft_model(model, lora)
        with torch.no_grad():
            for own, parameter, heads in peft_training.adapter_parameters(model, name, config):
                begin = peft_training.numbers(own, parameter.numel()).reshape(parameter.shape)
                if heads:
                    begin = transformers_logits.unpermuted(begin, heads)
                parameter.copy_(torch.from_numpy(begin.copy()))
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.rate, weight_decay=0.0, fused=True)
    vocabulary = config.vocab_size
    tokens = torch.tensor([
        [(17 * at * at + 5 * at + 3 + 31 * text) % vocabulary for at in range(args.length)]
        for text in range(args.texts)
    ])
    gc.collect()
    # From here on: reading the model took more.
    Path("/proc/self/clear_refs").write_text("5")
    print(json.dumps({"ready": True, "parameters": sum(p.numel() for p in trained)}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - begin
        peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
        print(json.dumps({"loss": loss.item(), "norm": norm.item(), "seconds": seconds, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
