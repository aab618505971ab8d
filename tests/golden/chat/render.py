#!/usr/bin/env python3
"""Renders conversations.json with the templates of a folder as `transformers` does, for tests/chat_templates.rs.

    pip install transformers jinja2
    python tests/golden/chat/render.py

Writes renderings.json beside itself. With `--templates DIR --output FILE` it renders other templates; the test compares
them too when RLKD_CHAT_RENDERINGS names that file. The date that templates ask for is fixed: 26 July 2024.
"""

import argparse
import datetime
import itertools
import json
import pathlib

import jinja2
import transformers
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
# The texts of the begin and end token of the model that a template belongs to; others are given <s> and </s>.
TOKENS = {
    "qwen2.5-instruct": ("", "<|im_end|>"),
    "qwen3": ("", "<|im_end|>"),
    "chatml": ("", "<|im_end|>"),
    "llama-3": ("<|begin_of_text|>", "<|eot_id|>"),
    "deepseek-r1-distill": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, tzinfo=tz)


def fold(messages):
    """The system texts at the head of the first user turn: what is rendered where a template refuses them."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    folded = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in folded if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *folded]
    first["content"] = system + "\n\n" + first["content"]
    return folded


def render(source, bos, eos, conversations):
    for conversation, prompt, thinking in itertools.product(conversations, (False, True), (None, False, True)):
        options = {} if thinking is None else {"enable_thinking": thinking}
        case = {"conversation": conversation["name"], "add_generation_prompt": prompt, "enable_thinking": thinking}

        def text(messages):
            texts, _ = chat_template_utils.render_jinja_template(
                [messages],
                chat_template=source,
                add_generation_prompt=prompt,
                bos_token=bos,
                eos_token=eos,
                **options,
            )
            return texts[0]

        messages = conversation["messages"]
        try:
            yield case | {"text": text(messages)}
        except Exception as error:  # What a template refuses is part of the expectation.
            case |= {"error": str(error), "raised": type(error) is jinja2.exceptions.TemplateError}
            if case["raised"] and any(message["role"] == "system" for message in messages):
                try:
                    case |= {"folded": text(fold(messages))}
                except Exception:
                    pass
            yield case


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=pathlib.Path, default=HERE / "templates")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "renderings.json")
    arguments = parser.parse_args()
    chat_template_utils.datetime = FixedDate
    conversations = json.loads((HERE / "conversations.json").read_text(encoding="utf-8"))
    templates = []
    for path in sorted(arguments.templates.glob("*.jinja")):
        source = path.read_bytes().decode("utf-8")
        bos, eos = TOKENS.get(path.stem, ("<s>", "</s>"))
        cases = list(render(source, bos, eos, conversations))
        templates.append({"name": path.stem, "source": source, "bos": bos, "eos": eos, "cases": cases})
    if arguments.templates == HERE / "templates":
        for template in templates:
            del template["source"]  # It lies beside.
    document = {"transformers": transformers.__version__, "templates": templates}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    arguments.output.write_text(text + "\n", encoding="utf-8")


main()
