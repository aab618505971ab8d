"""Losses, gradients and optimiser steps of our random models as transformers, peft and PyTorch compute them, for
tests/train.rs.

The files come from rlkd's generator (`rlkd::gguf::random`); this script reads one with the `gguf` package (quantized
ones unpacked by it), puts its weights into the same architecture of transformers in float32, and trains an adapter of
peft, or all weights, on two texts. Adapters begin with numbers that both sides compute from their names (`numbers`).

    python3 -m venv /tmp/parity
    /tmp/parity/bin/pip install torch transformers peft gguf
    RLKD_GOLDEN=/tmp/golden cargo test --test train golden_models
    /tmp/parity/bin/python tests/golden/peft_training.py /tmp/golden tests/golden/training

The second command writes the models, the third reads `*.gguf` there and writes a `.json` for each, and for those named
`*-lora` and `*-dora` the adapter after the last step, as peft saves it.
"""

import hashlib
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import peft
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent))
import transformers_logits

# Two texts; the loss is the mean over the tokens from these places on.
TEXTS = [[(17 * at * at + 5 * at + 3) % 600 for at in range(24)], [(29 * at + 11 * at * at + 7) % 600 for at in range(17)]]
FROM = [6, 9]
RANK, ALPHA = 4, 8.0
# Gradients are kept for every so many numbers, and their norm in full.
STRIDE = 61
# With all weights a larger rate magnifies rounding: Adam's first steps have the size of the rate, whatever the gradient's.
RATES = {"lora": 1e-2, "dora": 1e-2, "all": 1e-3}
OTHERS = 1e-3
ADAMW = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
CLIP = 1.0
STEPS = 10


def numbers(name, count):
    """Numbers between -0.05 and 0.05 that look random and are the same on both sides."""
    seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    with np.errstate(over="ignore"):
        z = seed + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (((z >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5) * 0.1).astype(np.float32)


MODULES = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}


def permuted(weights, heads):
    """From transformers' order of the rows of queries and keys to llama.cpp's."""
    rows, columns = weights.shape
    half = rows // heads // 2
    return weights.reshape(heads, 2, half, columns).swapaxes(1, 2).reshape(rows, columns)


def adapter_parameters(model, name, config):
    """Our names and the parameters of the adapter, with how many heads their rows are in another order for."""
    for key, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        parts = key.split(".")
        layer, module, which = parts[parts.index("layers") + 1], parts[-4], parts[-3]
        heads = 0
        if name == "llama" and which in ("lora_B", "lora_magnitude_vector") and module in ("q_proj", "k_proj"):
            heads = config.num_attention_heads if module == "q_proj" else config.num_key_value_heads
        yield f"blk.{layer}.{MODULES[module]}.weight.{which.lower()}", parameter, heads


def all_parameters(model, name, config):
    parts = {ours: theirs for theirs, ours in transformers_logits_parts().items()}
    for key, parameter in model.named_parameters():
        stem, suffix = key.rsplit(".", 1)
        bits = stem.split(".")
        heads = 0
        if "layers" in bits:
            at = bits.index("layers")
            part = parts[".".join(bits[at + 2:])]
            ours = f"blk.{bits[at + 1]}.{part}.{suffix}"
            if name == "llama" and part in ("attn_q", "attn_k"):
                heads = config.num_attention_heads if part == "attn_q" else config.num_key_value_heads
        else:
            whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
            ours = f"{whole[stem]}.{suffix}"
        yield ours, parameter, heads


def transformers_logits_parts():
    return {
        "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }


def logprobs_of(model):
    """The log-probabilities of the targets, text by text, without padding."""
    found = []
    for tokens, first in zip(TEXTS, FROM):
        logits = model(torch.tensor([tokens])).logits[0].float()
        logprobs = torch.log_softmax(logits[:-1], -1)
        own = logprobs.gather(1, torch.tensor(tokens[1:]).unsqueeze(1))[first - 1:, 0]
        found.append(own)
    return torch.cat(found)


def loss_of(model):
    return -logprobs_of(model).mean()


def train(model, parameters, rate, stride=STRIDE):
    parameters = list(parameters)
    decays = [p for _, p, _ in parameters if p.dim() > 1]
    others = [p for _, p, _ in parameters if p.dim() == 1]
    groups = [{"params": decays}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, **ADAMW)
    losses, norms, gradients = [], [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        logprobs = logprobs_of(model)
        loss = -logprobs.mean()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            first = [float(x) for x in logprobs]
            for name, parameter, heads in parameters:
                gradient = parameter.grad.numpy()
                gradient = permuted(gradient.reshape(len(gradient), -1), heads) if heads else gradient
                flat = gradient.reshape(-1)
                gradients[name] = {"norm": float(np.linalg.norm(flat.astype(np.float64))),
                                   "numbers": [float(x) for x in flat[::stride]]}
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p, _ in parameters], CLIP)))
        optimizer.step()
    return {"logprobs": first, "losses": losses, "grad_norms": norms, "gradients": gradients}


def main(models, out):
    torch.set_num_threads(1)
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(models).glob("*.gguf")):
        name, model = transformers_logits.model_of(path)
        config = model.config
        kind = path.stem.split("-")[1]
        if kind == "all":
            model.train()
            found = train(model, all_parameters(model, name, config), RATES[kind])
        else:
            lora = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, use_dora=kind == "dora",
                                   target_modules=list(MODULES))
            model = peft.get_peft_model(model, lora).train()
            parameters = list(adapter_parameters(model, name, config))
            with torch.no_grad():
                for own, parameter, heads in parameters:
                    # The lengths of rows begin with those of the matrix.
                    if parameter.dim() == 1:
                        continue
                    begin = numbers(own, parameter.numel()).reshape(parameter.shape)
                    if heads:
                        begin = transformers_logits.unpermuted(begin, heads)
                    parameter.copy_(torch.from_numpy(np.ascontiguousarray(begin)))
            found = train(model, parameters, RATES.get(kind, OTHERS), STRIDE if kind in RATES else STRIDE * 7)
            if kind in RATES:
                folder = Path(out) / f"{path.stem}-adapter"
                model.save_pretrained(folder)
                (folder / "README.md").unlink(missing_ok=True)
                with torch.no_grad():
                    found["loss_after"] = loss_of(model).item()
        golden = {
            "made_with": f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}, "
                         "float32, CPU",
            "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "texts": TEXTS, "from": FROM, "rank": RANK, "alpha": ALPHA, "stride": STRIDE if kind in RATES else STRIDE * 7,
            "lr": RATES.get(kind, OTHERS),
            **found,
        }
        text = json.dumps(golden, default=float)
        text = json.dumps(json.loads(text, parse_float=lambda digits: float(f"{float(digits):.7g}")))
        (Path(out) / f"{path.stem}.json").write_text(text + "\n")
        print(path.stem, len(text), "bytes, losses", found["losses"][0], found["losses"][-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
