"""Logits of our random models as transformers computes them, for tests/gguf.rs.

The files come from rlkd's generator (`rlkd::gguf::random`); this script reads one with the `gguf` package, puts its
weights into the same architecture of transformers in float32, and writes a sample of the logits.

    python3 -m venv /tmp/parity
    /tmp/parity/bin/pip install torch transformers gguf
    RLKD_GOLDEN=/tmp/golden cargo test --test gguf golden_models
    /tmp/parity/bin/python tests/golden/transformers_logits.py /tmp/golden tests/golden/logits

The second command writes the models, the third reads `qwen2.gguf`, `qwen3.gguf` and `llama.gguf` there and writes
`qwen2.json` and so on. transformers sees neither the tokenizer nor llama.cpp.
"""

import hashlib
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

# Any sequence will do that visits several rows and positions. tests/gguf.rs takes it from the JSON.
TOKENS = [(17 * at * at + 5 * at + 3) % 600 for at in range(24)]
# Logits are kept at these positions, for every 7th entry of the vocabulary.
POSITIONS = [0, 1, 7, 23]
STRIDE = 7


def field(reader, key):
    value = reader.get_field(key)
    assert value is not None, key
    return value.contents()


def unpermuted(weights, heads):
    """From llama.cpp's order of the rows of queries and keys (pairs are neighbours) to transformers' (halves)."""
    rows, columns = weights.shape
    half = rows // heads // 2
    return weights.reshape(heads, half, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def model_of(path, attention="eager"):
    """The model of a file in float32; quantized matrices are unpacked by the `gguf` package."""
    reader = gguf.GGUFReader(path)
    name = field(reader, "general.architecture")
    own = lambda key: field(reader, f"{name}.{key}")
    weights = {}
    for tensor in reader.tensors:
        # The reader gives numpy's order, rows first.
        weights[tensor.name] = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)

    heads, kv_heads = own("attention.head_count"), own("attention.head_count_kv")
    tied = "output.weight" not in weights
    sizes = dict(
        vocab_size=weights["token_embd.weight"].shape[0],
        hidden_size=own("embedding_length"),
        intermediate_size=own("feed_forward_length"),
        num_hidden_layers=own("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=own("attention.key_length"),
        max_position_embeddings=own("context_length"),
        rms_norm_eps=own("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": own("rope.freq_base")},
        tie_word_embeddings=tied,
        attn_implementation=attention,
    )
    kind, config = {
        "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config),
        "qwen3": (transformers.Qwen3ForCausalLM, transformers.Qwen3Config),
        "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
    }[name]
    model = kind(config(**sizes)).to(torch.float32).eval()

    parts = {
        "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    state = {}
    for key, value in weights.items():
        stem, suffix = key.rsplit(".", 1)
        if key.startswith("blk."):
            _, layer, part = stem.split(".")
            # Only the architecture llama is stored with its rows in another order.
            if name == "llama" and part in ("attn_q", "attn_k"):
                value = unpermuted(value, heads if part == "attn_q" else kv_heads)
            target = f"model.layers.{layer}.{parts[part]}.{suffix}"
        else:
            target = f"{whole[stem]}.{suffix}"
        state[target] = torch.from_numpy(np.ascontiguousarray(value))
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return name, model


def main(models, out):
    torch.set_num_threads(1)
    for path in sorted(Path(models).glob("*.gguf")):
        name, model = model_of(path)
        with torch.no_grad():
            logits = model(torch.tensor([TOKENS])).logits[0]
        assert logits.dtype == torch.float32
        golden = {
            "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}, float32, CPU",
            "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "tokens": TOKENS,
            "stride": STRIDE,
            "largest": float(logits.abs().max()),
            "logits": {str(at): [float(x) for x in logits[at, ::STRIDE]] for at in POSITIONS},
        }
        # float32 numbers in full: nine digits tell any two apart.
        text = json.dumps(golden, default=float, indent=None)
        text = json.dumps(json.loads(text, parse_float=lambda digits: float(f"{float(digits):.9g}")))
        Path(out).mkdir(parents=True, exist_ok=True)
        (Path(out) / f"{name}.json").write_text(text + "\n")
        print(name, len(text), "bytes, largest logit", golden["largest"])


if __name__ == "__main__":
    main(*sys.argv[1:])
