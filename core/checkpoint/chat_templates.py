"""The chat template of an output where a recipe asks for one: the models' most frequent, a known one, a text.

It goes into `chat_template.jinja`, which transformers reads before anything else, and every other template
that the output would have is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from core.checkpoint.choosing import Givers, templates_of
from core.checkpoint.companion_names import Kind, kind_of
from core.checkpoint.copies import Companion
from core.checkpoint.folder_files import FolderFiles
from core.checkpoint.private_paths import json_bytes
from core.errors import CheckpointError
from core.small_files import parse_json

__all__ = ["TEMPLATE_FILE", "with_template"]

TEMPLATE_FILE = "chat_template.jinja"
_CONFIG = "tokenizer_config.json"
_MAX_CONFIG_BYTES, _MAX_CONFIG_PARTS = 4_000_000, 200_000

_AUTO = "auto"

_KNOWN = {
    "alpaca": """\
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{{ message['content'] | trim }}
{%- elif message['role'] == 'user' -%}
{{ '### Instruction:\\n' + message['content'] | trim }}
{%- elif message['role'] == 'user_context' -%}
{{ '### Input:\\n' + message['content'] | trim }}
{%- elif message['role'] == 'assistant' -%}
{{ '### Response:\\n' + message['content'] | trim }}
{%- endif -%}
{%- if not loop.last -%}{{ '\\n\\n' }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and messages[-1]['role'] != 'assistant' -%}
{{ '\\n\\n### Response:\\n' }}
{%- endif -%}
""",
    "chatml": """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
""",
    "exaone": """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}{{ '[|system|][|endofturn|]\\n' }}{%- endif -%}
{{ '[|' + message['role'] + '|]' + message['content'] }}
{{- '\\n' if message['role'] == 'user' else '[|endofturn|]\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '[|assistant|]' }}{%- endif -%}
""",
    "llama3": """\
{%- for message in messages -%}
{%- if loop.first -%}{{ bos_token }}{%- endif -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
{{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif -%}
""",
    "mistral": """\
{{- bos_token -}}
{%- set told = namespace(first='', turn=0) -%}
{%- for message in messages -%}
{%- if loop.first and message['role'] == 'system' -%}
{%- set told.first = message['content'] + '\\n\\n' -%}
{%- else -%}
{%- if message['role'] != ('user' if told.turn % 2 == 0 else 'assistant') -%}
{{ raise_exception('After a system message, user and assistant must take turns, beginning with the user') }}
{%- endif -%}
{%- if message['role'] == 'user' -%}
{{ ' [INST] ' + (told.first if told.turn == 0 else '') + message['content'] + ' [/INST]' }}
{%- else -%}
{{ ' ' + message['content'] + eos_token }}
{%- endif -%}
{%- set told.turn = told.turn + 1 -%}
{%- endif -%}
{%- endfor -%}
""",
}
"""The formats that mergekit knows by these names, which are those of core.recipe.chat_template."""


def with_template(
    files: Mapping[str, Companion], asked: str, givers: Givers
) -> tuple[dict[str, Companion], list[str]]:
    """The small files of an output with the chat template that a recipe asks for.

    Args:
        files: what would be written without it.
        asked: "auto", the name of a known template, or the text of one.
        givers: whose templates "auto" chooses from: the most frequent one, the first of several.

    Returns the files, and sentences for the user.

    Raises:
        CheckpointError: a folder cannot be read.
    """
    text = _KNOWN.get(asked, asked)
    if asked == _AUTO:
        found = _most_frequent(givers)
        if found is None:
            return dict(files), ["no model has a chat template, and so the result has none"]
        text = found
    result = {
        name: one for name, one in files.items() if kind_of(name.rpartition("/")[2]) is not Kind.TEMPLATE
    }
    if _CONFIG in result:
        result[_CONFIG] = _without_template(result[_CONFIG])
    result[TEMPLATE_FILE] = Companion.of_bytes(text.encode())
    return result, []


def _most_frequent(givers: Givers) -> str | None:
    folders = dict.fromkeys([*givers.models, *([givers.base] if givers.base else [])])
    texts = (templates_of(FolderFiles.of(folder)).get("default", "") for folder in folders)
    counts = Counter(text.strip() for text in texts if text.strip())
    return counts.most_common(1)[0][0] if counts else None


def _without_template(config: Companion) -> Companion:
    """tokenizer_config.json without a template of its own; as it is where it has none."""
    if config.size_bytes > _MAX_CONFIG_BYTES:
        return config
    data = b"".join(config.chunks())
    try:
        said = parse_json(data, _MAX_CONFIG_PARTS)
    except (ValueError, CheckpointError):
        return config
    if not isinstance(said, dict) or "chat_template" not in said:
        return config
    return Companion.of_bytes(json_bytes({key: one for key, one in said.items() if key != "chat_template"}))
