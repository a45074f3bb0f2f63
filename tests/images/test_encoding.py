"""PNG files that come back as the same pixels, and base64 as messages carry it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from image_files import quarters, saved
from PIL import Image

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images import loading
from seal_agent.images.encoding import decode_base64, encode_png
from seal_agent.images.loading import load_image
from seal_agent.images.pictures import as_picture, image_of


def test_a_png_is_the_same_each_time_and_holds_the_same_pixels() -> None:
    loaded = load_image(saved(quarters(), "JPEG"))
    data = encode_png(loaded.image)
    assert data == encode_png(load_image(data).image)
    assert load_image(data).sha256 == loaded.sha256


def test_a_png_holds_no_metadata() -> None:
    image = quarters()
    image.info["icc_profile"] = b"secret"
    assert encode_png(image) == encode_png(quarters())
    assert image.info == {"icc_profile": b"secret"}


def test_base64_is_read_bare_and_from_a_data_address() -> None:
    data = saved(quarters(), "PNG")
    text = b64encode(data).decode()
    folded = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    for message in (text, folded, f"data:image/png;base64,{text}", f"DATA:image/png;charset=x;BASE64,{text}"):
        assert decode_base64(message) == data


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data:image/png,abc", "must be base64"),
        ("data:image/png;base64", "must be base64"),
        ("https://example.org/a.png", "is not base64"),
        ("größe", "is not base64"),
        ("abc", "is not base64"),
        ("", "is empty"),
        ("A" * 2_000, "above the limit"),
    ],
)
def test_what_is_no_base64_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        decode_base64(text, ImageLimits(max_bytes=1_000))


def test_a_photo_that_was_taken_in_may_be_larger_as_png(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = saved(Image.effect_noise((80, 80), 100), "JPEG", quality=30)
    monkeypatch.setattr(loading, "ImageLimits", lambda: ImageLimits(max_bytes=len(photo)))
    held = as_picture(photo)
    assert len(held.png) * 3 // 4 > len(photo)
    assert image_of(held).size == (80, 80)
