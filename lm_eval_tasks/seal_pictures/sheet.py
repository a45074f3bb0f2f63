"""Draws all pictures on one sheet: `python -m lm_eval_tasks.seal_pictures.sheet OUT.png`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lm_eval_tasks.seal_pictures.pictures import Picture, pictures

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP = 16


def contact_sheet(shown: Sequence[Picture], columns: int = 4, scale: float = 1.0) -> Image:
    """The pictures in rows, each in full."""
    import PIL.Image

    drawn = [picture.draw() for picture in shown]
    if scale != 1.0:
        drawn = [image.resize((round(image.width * scale), round(image.height * scale))) for image in drawn]
    width, height = max(image.width for image in drawn) + _GAP, max(image.height for image in drawn) + _GAP
    rows = -(-len(drawn) // columns)
    sheet = PIL.Image.new("RGB", (width * columns + _GAP, height * rows + _GAP), "#555555")
    for i, image in enumerate(drawn):
        sheet.paste(image, (_GAP + width * (i % columns), _GAP + height * (i // columns)))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises SystemExit with code 2 for misuse."""
    kinds = list(dict.fromkeys(picture.kind for picture in pictures()))
    parser = argparse.ArgumentParser(
        prog="python -m lm_eval_tasks.seal_pictures.sheet",
        description="Draw all pictures of the task on one sheet.",
        epilog="Example: python -m lm_eval_tasks.seal_pictures.sheet sheet.png --kinds bars plan",
    )
    parser.add_argument("out", type=Path, help="the PNG file to write")
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds, help="only pictures of these kinds")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0, help="of the pictures")
    chosen = parser.parse_args(arguments)
    if chosen.columns < 1 or not 0.05 <= chosen.scale <= 4:
        parser.error("--columns must be at least 1, and --scale between 0.05 and 4")
    shown = [picture for picture in pictures() if picture.kind in chosen.kinds]
    try:
        contact_sheet(shown, chosen.columns, chosen.scale).save(chosen.out, format="PNG")
    except OSError as err:
        parser.error(f"{chosen.out} cannot be written ({err.strerror}); give a file in a folder that exists")
    print(f"wrote {len(shown)} pictures to {chosen.out}")


if __name__ == "__main__":
    main()
