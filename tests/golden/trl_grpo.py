"""Advantages, losses and gradients as TRL computes them, for tests/grpo.rs.

TRL's own code runs: the part of GRPOTrainer that turns rewards into advantages, and `_compute_loss`, on recorded batches.
Only what surrounds them is put in its place: the log-probabilities are tensors of ours, whose gradients are recorded.

    python3 -m venv /tmp/trl && /tmp/trl/bin/pip install torch transformers trl==1.16.0
    /tmp/trl/bin/python tests/golden/trl_grpo.py tests/golden/trl_grpo.json
"""

import dataclasses
import inspect
import json
import sys
import textwrap
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer

torch.set_default_dtype(torch.float64)


def advantages(rewards, weights, generations, scale, aggregation):
    """The lines of TRL between the rewards of each function and the advantages."""
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    begin = source.index("        unscorable_mask = ")
    last = "        advantages = torch.nan_to_num(advantages, nan=0.0)\n"
    lines = textwrap.dedent(source[begin:source.index(last) + len(last)])
    rewards = torch.tensor([[float("nan") if x is None else x for x in row] for row in rewards])
    own = SimpleNamespace(reward_weights=torch.tensor(weights), scale_rewards=scale, multi_objective_aggregation=aggregation,
                          reward_funcs=weights)
    names = {"torch": torch, "nanstd": grpo_trainer.nanstd, "self": own, "rewards_per_func": rewards,
             "num_generations": generations, "device": "cpu"}
    exec(lines, names)
    return {"advantages": names["advantages"].tolist(), "zero_std": names["is_std_zero"].double().mean().item()}


def draw(generator, *shape, low=0.0, high=1.0):
    return torch.rand(*shape, generator=generator) * (high - low) + low


def loss(case):
    generator = torch.Generator().manual_seed(case["seed"])
    rows, width = 4, 7
    lengths = torch.tensor(case.get("lengths", [7, 4, 1, 6]))
    mask = (torch.arange(width)[None] < lengths[:, None]).to(torch.int64)
    logps = draw(generator, rows, width, low=-3.0, high=-0.05).requires_grad_()
    old = logps.detach() + draw(generator, rows, width, low=-0.6, high=0.6)
    reference = logps.detach() + draw(generator, rows, width, low=-0.5, high=0.5)
    entropies = draw(generator, rows, width, low=0.1, high=2.0).requires_grad_()
    ratio = draw(generator, rows, width, low=0.3, high=1.7)
    scores = draw(generator, rows, low=-1.5, high=1.5)
    items = torch.tensor(float(case.get("num_items", 18)))

    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer._get_per_token_logps_and_entropies = lambda *args, **kwargs: (logps, entropies, None)
    trainer.aux_loss_enabled = False
    trainer.top_entropy_quantile = 1.0
    trainer.off_policy_mask_threshold = None
    trainer.importance_sampling_level = case.get("importance_sampling_level", "token")
    trainer.beta = case.get("beta", 0.0)
    trainer.loss_type = case["loss_type"]
    trainer.epsilon_low = case.get("epsilon", 0.2)
    trainer.epsilon_high = case.get("epsilon_high", trainer.epsilon_low)
    trainer.args = SimpleNamespace(delta=case.get("delta"), use_bias_correction_kl=case.get("use_bias_correction_kl", True),
                                   steps_per_generation=case.get("accumulation_steps", 1))
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = case.get("corrected", False)
    trainer.model = SimpleNamespace(training=True)
    trainer.current_gradient_accumulation_steps = case.get("accumulation_steps", 1)
    trainer.accelerator = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction=None: x,
                                          sync_gradients=True)
    trainer.max_completion_length = 9
    trainer._entropy_bonus_enabled = case.get("entropy_coef", 0.0) != 0.0
    trainer.use_adaptive_entropy = False
    trainer.entropy_coef = case.get("entropy_coef", 0.0)
    trainer._metrics = {"train": defaultdict(list)}
    inputs = {"prompt_ids": torch.zeros(rows, 1, dtype=torch.int64), "prompt_mask": torch.ones(rows, 1, dtype=torch.int64),
              "completion_ids": torch.zeros(rows, width, dtype=torch.int64), "completion_mask": mask, "advantages": scores,
              "ref_per_token_logps": reference, "importance_sampling_ratio": ratio, "num_items_in_batch": items}
    if not case.get("on_policy", False):
        inputs["old_per_token_logps"] = old
    value = trainer._compute_loss(trainer.model, inputs)
    value.backward()
    # Of an empty completion the least and the most are no numbers.
    metrics = {name: values[0] for name, values in trainer._metrics["train"].items() if values[0] == values[0]}

    def rows_of(tensor):
        if tensor is None:
            tensor = torch.zeros(rows, width)
        return [row[:n].tolist() for row, n in zip(tensor, lengths.tolist())]

    return {**case, "loss": value.item(), "logps": rows_of(logps.detach()), "old": rows_of(old),
            "reference": rows_of(reference), "entropies": rows_of(entropies.detach()), "ratio": rows_of(ratio),
            "advantages": scores.tolist(), "num_items": items.item(), "max_completion_length": 9,
            "dlogps": rows_of(logps.grad), "dentropies": rows_of(entropies.grad), "metrics": metrics}


def main(out):
    none = None
    tables = {
        "plain": ([[1.0], [0.0], [0.5], [1.0], [0.2], [0.2], [0.2], [0.2]], [1.0]),
        "two": ([[1.0, 0.3], [0.0, 0.9], [0.5, 0.1], [1.0, 0.2], [0.2, 0.4], [0.7, 0.4], [0.2, 0.8], [0.1, 0.0]], [1.0, 0.5]),
        "skipped": ([[1.0, none], [0.0, 0.9], [none, none], [1.0, 0.2], [none, none], [none, none], [none, none],
                     [none, none]], [1.0, 0.5]),
        "one left": ([[1.0], [none], [none], [none], [0.2], [0.7], [none], [0.1]], [2.0]),
    }
    found = []
    for name, (rewards, weights) in tables.items():
        for scale in ["group", "batch", "none"]:
            for aggregation in ["sum_then_normalize", "normalize_then_sum"]:
                result = advantages(rewards, weights, 4, scale, aggregation)
                found.append({"name": name, "rewards": rewards, "weights": weights, "num_generations": 4,
                              "scale_rewards": scale, "multi_objective_aggregation": aggregation, **result})
    cases = []
    for kind in ["grpo", "bnpo", "dr_grpo", "dapo", "cispo"]:
        high = {"epsilon_high": 1.2} if kind == "cispo" else {}
        cases.append({"loss_type": kind, **high})
        cases.append({"loss_type": kind, "on_policy": True, **high})
        cases.append({"loss_type": kind, "beta": 0.04, "entropy_coef": 0.01, "corrected": True,
                      **({"epsilon_high": 1.2} if kind == "cispo" else {"epsilon_high": 0.28, "delta": 1.5})})
        cases.append({"loss_type": kind, "lengths": [7, 0, 1, 6], **high})
        if kind != "cispo":
            sequence = {"loss_type": kind, "importance_sampling_level": "sequence", "epsilon": 0.03, "epsilon_high": 0.04}
            cases.append(sequence)
            cases.append({**sequence, "corrected": True, "beta": 0.1})
            cases.append({**sequence, "on_policy": True, "beta": 0.1})
            cases.append({**sequence, "beta": 0.1, "use_bias_correction_kl": False})
        cases.append({"loss_type": kind, "on_policy": True, "beta": 0.1, **high})
        cases.append({"loss_type": kind, "beta": 0.1, "use_bias_correction_kl": False, **high})
        cases.append({"loss_type": kind, "beta": 0.1, "entropy_coef": 0.02, "accumulation_steps": 3, **high})
    cases.append({"loss_type": "dapo", "num_items": 77})
    losses = [loss({"seed": 100 + at, **case}) for at, case in enumerate(cases)]
    assert trl.__version__ == "1.16.0"
    names = ["loss_type", "importance_sampling_level", "epsilon", "epsilon_high", "delta", "beta", "use_bias_correction_kl",
             "entropy_coef", "scale_rewards", "multi_objective_aggregation"]
    defaults = {field.name: field.default for field in dataclasses.fields(trl.GRPOConfig) if field.name in names}
    golden = {"defaults": defaults, "made_with": f"trl {trl.__version__}, torch {torch.__version__}, float64, CPU", "advantages": found,
              "losses": losses}
    text = json.dumps(golden)
    text = json.dumps(json.loads(text, parse_float=lambda digits: float(f"{float(digits):.12g}")))
    open(out, "w").write(text + "\n")
    print(len(text), "bytes;", len(found), "tables,", len(losses), "losses")


if __name__ == "__main__":
    main(*sys.argv[1:])
