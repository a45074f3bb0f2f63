"""How a model sees: pictures in a prompt become tokens of their own.

Each picture that is put into a prompt gets a block of ids above the vocabulary, one for each of its tokens. So the ids
of a prompt say which picture stands where: prompts with the same picture share it as they share words, and batches,
streams and packed training rows need to know nothing of pictures. `lora/seeing.py` puts a picture's features where the
model looks such an id up.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary, ref

from seal_agent.base_model.control import Range
from seal_agent.errors import InputError, ModelError
from seal_agent.images.pictures import image_of
from seal_agent.types import Picture

if TYPE_CHECKING:
    from torch import Tensor, nn

FIRST_ID = 1 << 40  # above every vocabulary
STRIDE = 1 << 20  # ids of one picture
RECENT = 16  # pictures that are kept though no prompt in work has them


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the model's image processor gives it: tensors, and what stands for it in a prompt."""

    inputs: Mapping[str, Tensor]
    writing: str
    tokens: int


@dataclass(slots=True, weakref_slot=True, eq=False)
class SeenPicture:
    """A picture as one adapter sees it (None: the base model, and all adapters of the language side)."""

    number: int
    picture: Picture
    prepared: Prepared
    adapter: ref[Any] | None = None
    features_ND: Tensor | None = field(default=None, repr=False)

    @property
    def first_id(self) -> int:
        return FIRST_ID + self.number * STRIDE


class NumberedIds(list[int]):
    """The ids of a prompt, which hold its pictures until `Sight.held` has given them to whoever works on it."""

    def __init__(self, ids: Iterable[int], pictures: Sequence[SeenPicture]) -> None:
        super().__init__(ids)
        self.pictures = tuple(pictures)


class Sight:
    """The picture side of one model: its image processor, and the pictures that prompts hold now."""

    def __init__(self, module: nn.Module, processor: Any) -> None:
        """The sight of a model.

        Args:
            processor: transformers' processor of this family, with an image processor and the tokenizer.
        """
        self.module, self.processor = module, processor
        config: Any = module.config
        token = getattr(config, "image_token_id", None)
        self.token: int = token if token is not None else config.image_token_index
        self.mark = str(processor.tokenizer.convert_ids_to_tokens(self.token))
        self.placeholder = str(processor.image_token)
        # Whether the tokens of a picture see each other, those behind them too.
        self.looks_both_ways = "token_type_ids" in inspect.signature(module.forward).parameters
        self._lock = threading.Lock()
        self._numbers = 0
        self._seen: WeakValueDictionary[tuple[str, int], SeenPicture] = WeakValueDictionary()
        self._by_number: WeakValueDictionary[int, SeenPicture] = WeakValueDictionary()
        self._recent: OrderedDict[int, SeenPicture] = OrderedDict()
        self.looked_at: OrderedDict[int, SeenPicture] = OrderedDict()
        """Pictures whose features are kept for the next prompt with them, the latest last."""
        self._views: dict[int, ref[Any]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Sight:
        return self

    @property
    def rope_index(self) -> Any:
        """The model's function from ids and picture sizes to positions in three dimensions; None where it has none."""
        return getattr(getattr(self.module, "model", None), "get_rope_index", None)

    # ------------------------------------------------------------ prompts

    def placeholders(self, count: int) -> str:
        """Placeholders for pictures side by side: without text between them, Qwen takes several for one."""
        return "\n".join([self.placeholder] * count)

    def expand(
        self, text: str, literal: Sequence[Range], pictures: Sequence[Picture], adapter: Any = None
    ) -> tuple[str, list[Range], list[SeenPicture]]:
        """A rendered prompt with each placeholder replaced by what stands for its picture.

        Args:
            literal: Where content holds strings that are not control: a placeholder there is text.

        Returns the text, the literal ranges in it, and the pictures as they are seen. Raises InputError where the
        template has not placed every picture.
        """
        places = [
            match.span()
            for match in re.finditer(re.escape(self.placeholder), text)
            if not any(start < match.end() and stop > match.start() for start, stop in literal)
        ]
        if len(places) != len(pictures):
            raise InputError(
                f"the prompt has places for {len(places)} of {len(pictures)} pictures; put them into turns of the user"
            )
        seen = [self.see(picture, adapter) for picture in pictures]
        ranges = list(literal)
        for (start, stop), one in reversed(list(zip(places, seen, strict=True))):
            writing = one.prepared.writing
            text = text[:start] + writing + text[stop:]
            moved = len(writing) - (stop - start)
            ranges = [(a + moved, b + moved) if a >= stop else (a, b) for a, b in ranges]
        return text, ranges, seen

    def number(self, ids: Sequence[int], seen: Sequence[SeenPicture]) -> NumberedIds:
        """The ids with a picture's own ids in place of the image token. Raises ModelError if their counts differ."""
        own = [one.first_id + i for one in seen for i in range(one.prepared.tokens)]
        places = [i for i, token in enumerate(ids) if token == self.token]
        if len(places) != len(own):
            raise ModelError(
                f"the model's tokenizer gives {len(places)} tokens for pictures of {len(own)}; "
                "load it with the processor that it was trained with"
            )
        numbered = list(ids)
        for place, token in zip(places, own, strict=True):
            numbered[place] = token
        return NumberedIds(numbered, seen)

    def see(self, picture: Picture, adapter: Any = None) -> SeenPicture:
        """A picture as one adapter sees it; kept as long as the ids of a prompt or a row hold it, and a while after."""
        with self._lock:
            key = (picture.sha256, self._view(adapter))
            seen = self._seen.get(key)
            if seen is None:
                self._numbers += 1
                through = None if adapter is None else ref(adapter)
                seen = SeenPicture(self._numbers, picture, self._prepare(picture), through)
                self._seen[key] = self._by_number[seen.number] = seen
            self._recent[seen.number] = seen
            self._recent.move_to_end(seen.number)
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
            return seen

    def clear(self) -> None:
        """Drop the pictures that no prompt in work holds."""
        with self._lock:
            self._recent.clear()
            self.looked_at.clear()

    def _view(self, adapter: Any) -> int:
        """A number for an adapter that changes what is seen; 0 for none. An id may be used again after its owner."""
        if adapter is None:
            return 0
        known = self._views.get(id(adapter))
        if known is None or known() is not adapter:
            for key in [key for key in self._seen if key[1] == id(adapter)]:
                del self._seen[key]
            self._views[id(adapter)] = ref(adapter)
        return id(adapter)

    def check_learns_in_view(self, model: str, fix: str) -> None:
        """Raises InputError, which names the model and the fix, where no lesson can have a picture in view."""
        if self.looks_both_ways:
            raise InputError(
                f"in {model!r} the tokens of a picture see each other, which training does not know how to do; {fix}"
            )

    def held(self, ids: Iterable[int]) -> tuple[SeenPicture, ...]:
        """The pictures of a prompt, for whoever works on it to hold."""
        numbers = dict.fromkeys((token - FIRST_ID) // STRIDE for token in ids if token >= FIRST_ID)
        return tuple(self.by_number(number) for number in numbers)

    def by_number(self, number: int) -> SeenPicture:
        """The picture with this number. Raises InputError where nobody held it."""
        seen = self._by_number.get(number)
        if seen is None:
            raise InputError("a picture of this prompt is no longer in memory; put the prompt together again")
        return seen

    def _prepare(self, picture: Picture) -> Prepared:
        images, *_ = self.processor.prepare_inputs_layout(images=[image_of(picture)], text=None)
        settings = self.processor._merge_kwargs(
            self.processor.valid_processor_kwargs,
            tokenizer_init_kwargs=self.processor.tokenizer.init_kwargs,
            return_tensors="pt",
        )["images_kwargs"]
        try:
            inputs, (writing,) = self.processor._process_images(images, **settings)
        except (ValueError, TypeError, ZeroDivisionError) as err:
            raise InputError(f"the model's image processor refuses a picture ({err}); give another size") from err
        return Prepared(dict(inputs), str(writing), str(writing).count(self.mark))

    # ------------------------------------------------------------ what a pass needs beside ids

    def places(self, ids_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor] | None:
        """Positions 3×B×T, and B×1: how far each row's fall short of counting tokens. None where they count tokens."""
        if self.rope_index is None:
            return None
        import torch

        marks_BT = ids_BT >= FIRST_ID
        starts_BT = marks_BT & ((ids_BT - FIRST_ID) % STRIDE == 0)  # one picture may stand in a prompt twice
        grids = [
            self.by_number(number).prepared.inputs["image_grid_thw"]
            for number in ((ids_BT[starts_BT] - FIRST_ID) // STRIDE).tolist()
        ]
        positions, short = self.rope_index(
            ids_BT.masked_fill(marks_BT, self.token),
            mm_token_type_ids=marks_BT.int(),
            image_grid_thw=torch.cat(grids) if grids else None,
            attention_mask=mask_BT,
        )
        return positions, short

    def token_types(self, ids_BT: Tensor) -> Tensor:
        """1 for the tokens of pictures, else 0."""
        return (ids_BT >= FIRST_ID).long()


def has_pictures(ids: Tensor) -> bool:
    """Whether any of these ids is a picture's."""
    return bool((ids >= FIRST_ID).any())


def sight_of(module: nn.Module) -> Sight | None:
    """The sight of a model that has seen pictures, or None."""
    sight: Sight | None = getattr(module, "_seal_sight", None)
    return sight


def give_sight(module: nn.Module, processor: Any) -> Sight:
    """Let a model see by this processor."""
    sight = Sight(module, processor)
    module._seal_sight = sight  # type: ignore[assignment]
    return sight
