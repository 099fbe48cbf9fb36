"""Answers are learned as the model's chat template writes them behind its prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers as hf
from tiny_families import build
from tiny_models import LLAVA_TEMPLATE, make_image, make_sample, make_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from bye_lint.learning import resolve
from bye_lint.models import FAMILIES, tuned_folder
from bye_lint.models.answers import end_tokens, said_tokens
from bye_lint.models.encoding import answer_ids
from bye_lint.models.finetune import FineTuneSettings
from bye_lint.models.pipeline import ModelPipeline
from bye_lint.models.processors import load_processor
from bye_lint.policy import ModelPolicy

LLAVA = FAMILIES["llava"]


def turns(start: str, end: str, prompt: str, part: str = "{{ part['text'] }}") -> str:
    """Return a template: what begins and ends a turn, and what asks for an answer."""
    return (
        "{% for message in messages %}{% set role = message['role'] %}" + start +
        "{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}" + part + "{% endif %}{% endfor %}" +
        end + "{% endfor %}{% if add_generation_prompt %}" + prompt + "{% endif %}"
    )  # fmt: skip


IDEFICS = turns(
    "{{ role | capitalize }}{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}",
    "<end_of_utterance>\n",
    "Assistant:",
)
GEMMA = turns(
    "<start_of_turn>{{ 'model' if role == 'assistant' else role }}\n",
    "<end_of_turn>\n",
    "<start_of_turn>model\n",
    "{{ part['text'] | trim }}",
)
CHATML = turns("<|im_start|>{{ role }}\n", "<|im_end|>\n", "<|im_start|>assistant\n")
ONEVISION = turns("<|im_start|>{{ role }} ", "<|im_end|>\n", "<|im_start|>assistant\n",
                  "\n{{ part['text'] }}")  # fmt: skip
MISTRAL = turns(
    "{{ '[INST] ' if role == 'user' else ' ' }}",
    "{{ ' [/INST]' if role == 'user' else '<\\\\s> ' }}",
    "",
)
DEEPSEEK = turns(
    "{{ 'User: ' if role == 'user' else 'Assistant: ' }}",
    "{{ '\n\n' if role == 'user' else '</s>' }}",
    "Assistant:",
)
COMMAND = turns(
    "<|START_OF_TURN_TOKEN|>{{ '<|USER_TOKEN|>' if role == 'user' else "
    "'<|CHATBOT_TOKEN|><|START_RESPONSE|>' }}",
    "{{ '' if role == 'user' else '<|END_RESPONSE|>' }}<|END_OF_TURN_TOKEN|>",
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
)
GLM = turns("<|{{ role }}|>\n", "", "<|assistant|>\n")
THINKING = turns(
    "<|im_start|>{{ role }}\n{{ '<think>\n\n</think>\n\n' if role == 'assistant' else '' }}",
    "<|im_end|>\n",
    "<|im_start|>assistant\n",
)
BROKEN_LINE = turns("{{ role }}:{{ '\n' if role == 'assistant' else ' ' }}", "</s>", "assistant:")
WANTS_TEXT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<image>"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}\n"
    "{% else %}Assistant: {{ message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
WANTS_SYSTEM = "{{ messages[0]['role'] == 'system' or raise_exception('no system') }}" + CHATML
NO_ANSWERS = (
    "{% for message in messages %}{{ raise_exception('users only') "
    "if message['role'] == 'assistant' }}{% endfor %}" + CHATML
)

SPECIAL = ["<image>", "<end_of_utterance>", "<start_of_turn>", "<end_of_turn>", "<|im_start|>",
           "<|im_end|>", "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
           "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>", "<|user|>",
           "<|assistant|>", "<think>", "</think>"]  # fmt: skip


def sentence_pieces():
    """Return a tokenizer that puts a space before a text, as SentencePiece does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<pad>", "<s>", "</s>", *SPECIAL]
    )
    words = ["a river", "Assistant: a river", "ASSISTANT: USER: User: [INST] [/INST] model \\ s>"]
    tokenizer.train_from_iterator(words * 3, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=SPECIAL,
    )


def processor_with(template, tokenizer=None):
    return hf.LlavaProcessor(
        hf.CLIPImageProcessorPil(),
        tokenizer or make_tokenizer(SPECIAL),
        chat_template=template,
    )


TEMPLATES = {
    "smolvlm": (IDEFICS, " river<end_of_utterance>"),
    "deepseek-vl": (DEEPSEEK, " river</s>"),
    "gemma 3": (GEMMA, "river<end_of_turn>"),
    "qwen": (CHATML, "river<|im_end|>"),
    "command a": (COMMAND, "river<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    "glm 4v": (GLM, "river</s>"),
    "llava 1.5": (LLAVA_TEMPLATE, " river</s>"),
    "llava-next mistral, an end that is no token": (MISTRAL, " river</s>"),
    "llava-onevision, a turn that does not begin with the prompt": (ONEVISION, "river<|im_end|>"),
    "a lead that is more than a space": (THINKING, "river<|im_end|>"),
    "a line break as the lead": (BROKEN_LINE, "river</s>"),
    "content must be a string": (WANTS_TEXT, " river<|im_end|>"),
    "no prompt without a system text": (WANTS_SYSTEM, "river</s>"),
    "no answers at all": (NO_ANSWERS, "river</s>"),
}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_an_answer_is_what_the_template_writes(name: str) -> None:
    template, written = TEMPLATES[name]
    processor = processor_with(template)
    ids = said_tokens(processor, LLAVA, "river") + end_tokens(processor, LLAVA)
    assert processor.tokenizer.decode(ids) == written
    assert ids == processor.tokenizer(written)["input_ids"]
    (space, *_) = processor.tokenizer(" river")["input_ids"]
    assert (ids[0] == space) == written.startswith(" ")


@pytest.mark.parametrize("template", [IDEFICS, LLAVA_TEMPLATE, DEEPSEEK, MISTRAL])
def test_where_pieces_hold_the_space_there_is_no_second(template: str) -> None:
    tokenizer = sentence_pieces()
    processor = processor_with(template, tokenizer)
    assert tokenizer("river")["input_ids"] == tokenizer.convert_tokens_to_ids(["▁river"])
    assert said_tokens(processor, LLAVA, "river") == tokenizer("river")["input_ids"]


def test_a_prompt_that_says_nothing_of_answers_gives_their_own_tokens() -> None:
    processor = build("paligemma").processor
    tokenizer = processor.tokenizer
    said = said_tokens(processor, FAMILIES["paligemma"], " a river ")
    assert said == tokenizer(" a river ", add_special_tokens=False)["input_ids"]
    assert end_tokens(processor, FAMILIES["paligemma"]) == [tokenizer.eos_token_id]


def test_tokens_that_reach_over_the_end_of_the_prompt_are_the_answer_s_own() -> None:
    """A prompt that ends in a space, which the answer's first word would swallow."""
    processor = processor_with(turns("{{ role }}: ", "</s>", "assistant: "))
    assert said_tokens(processor, LLAVA, "river") == processor.tokenizer("river")["input_ids"]


def test_another_template_is_asked_again() -> None:
    processor = processor_with(CHATML)
    before = end_tokens(processor, LLAVA)
    processor.chat_template = GEMMA
    assert end_tokens(processor, LLAVA) != before


def test_what_is_known_of_answers_is_not_written_beside_the_model(tmp_path: Path) -> None:
    processor = processor_with(CHATML)
    for name in ("before", "after"):
        processor.save_pretrained(tmp_path / name)
        end_tokens(processor, LLAVA)
    files = sorted(file.name for file in (tmp_path / "before").iterdir())
    assert files
    for file in files:
        before, after = ((tmp_path / name / file).read_bytes() for name in ("before", "after"))
        assert after == before


@pytest.mark.parametrize(
    "answer",
    ["river", "", " ", " a river ", "\n", "河流", "是", "12", "Ünï", "<|end|>", "a<|end|>b"],
)
def test_the_scout_learns_the_answer_and_its_end_token(answer: str) -> None:
    processor = load_processor(resolve(ModelPolicy(name="scout"), Path()))
    loaded = SimpleNamespace(processor=processor, family=LLAVA)
    sample = make_sample(0, make_image(0), "<image>\nWhat?", answer=answer)
    tokenizer = processor.tokenizer
    expected = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert answer_ids(loaded, sample).tolist() == expected


def test_what_the_template_writes_is_in_the_keys_of_all_models_but_the_scout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("llava").save(tmp_path / "base")
    found = [resolve(ModelPolicy(name=name), tmp_path) for name in ("scout", "base")]
    settings = FineTuneSettings()

    def keys(model):
        pipeline = ModelPipeline(model, settings, tmp_path, "cpu")
        return tuned_folder(tmp_path, model, [], settings).name, pipeline.digest

    scout, base = map(keys, found)
    monkeypatch.setattr(sys.modules["bye_lint.models.schedule"], "_TAUGHT", "otherwise")
    assert keys(found[0]) == scout
    assert not set(keys(found[1])) & set(base)
