"""What comes in as an image comes out as upright RGB pixels, and nothing else comes in."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from image_files import BLUE, GREEN, RED, WHITE, animation, quarters, saved
from PIL import Image

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError, MissingDependency
from seal_agent.images.headers import jpeg_scans
from seal_agent.images.loading import load_image

CORNERS = ((2, 2), (37, 2), (37, 17), (2, 17))
PIXELS = (RED, GREEN, BLUE, WHITE)


def corners(image: Image.Image, places: tuple[tuple[int, int], ...] = CORNERS) -> tuple[tuple[int, ...], ...]:
    return tuple(image.getpixel(place) for place in places)  # type: ignore[misc]


# ---------------------------------------------------------------- formats and sources


@pytest.mark.parametrize(
    ("name", "options"),
    [("PNG", {}), ("BMP", {}), ("GIF", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95})],
)
def test_every_format_from_a_path_bytes_and_pillow_is_the_same_image(
    tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    data = saved(quarters(), name, **options)
    path = tmp_path / "picture"  # the content counts, not the ending
    path.write_bytes(data)
    loaded = [load_image(source) for source in (data, path, str(path), Image.open(BytesIO(data)))]
    assert {image.format for image in loaded} == {name}
    assert len(set(loaded)) == 1
    assert (loaded[0].size, loaded[0].image.mode) == ((40, 20), "RGB")
    assert np.abs(np.array(corners(loaded[0].image)) - np.array(PIXELS)).max() <= (8 if name == "JPEG" else 0)


def test_the_hash_is_of_the_pixels_not_of_the_file() -> None:
    formats = {load_image(saved(quarters(), name)).sha256 for name in ("PNG", "BMP", "GIF")}
    assert formats == {load_image(quarters()).sha256}
    assert load_image(quarters(20, 40)).sha256 not in formats
    assert load_image(quarters().rotate(180)).sha256 not in formats


def test_an_image_of_pillow_stays_as_it_is() -> None:
    image = quarters().convert("RGBA")
    image.info["note"] = "mine"
    load_image(image).image.putpixel((0, 0), BLUE)
    assert (image.mode, image.info, image.getpixel((0, 0))) == ("RGBA", {"note": "mine"}, (*RED, 255))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(name: str) -> None:
    assert load_image(animation(name, 3)).image.getpixel((5, 5)) == pytest.approx(RED, abs=3)


def test_a_picture_of_many_views_counts_as_its_first() -> None:
    file = BytesIO()
    quarters().save(file, format="MPO", save_all=True, append_images=[Image.new("RGB", (40, 20))])
    loaded = load_image(file.getvalue())
    assert (loaded.format, loaded.size) == ("JPEG", (40, 20))


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_the_image(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(quarters(), name, exif=exif, **({"quality": 95} if name != "PNG" else {})))
    assert loaded.size == ((40, 20) if orientation < 5 else (20, 40))
    width, height = loaded.size
    seen = corners(loaded.image, ((3, 3), (width - 4, 3), (width - 4, height - 4), (3, height - 4)))
    order = {1: "RGBW", 2: "GRWB", 3: "BWRG", 4: "WBGR", 5: "RWBG", 6: "WRGB", 7: "BGRW", 8: "GBWR"}[orientation]
    wanted = [PIXELS["RGBW".index(letter)] for letter in order]
    assert np.abs(np.array(seen) - np.array(wanted)).max() < 60


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_orientation_leaves_the_pixels() -> None:
    data = saved(quarters(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert load_image(data).sha256 == load_image(quarters()).sha256


def test_scans_are_counted_in_the_image_and_not_in_its_metadata_or_behind_it() -> None:
    many = b"\xff\xda\0\x02" * 200
    data = saved(quarters(), "JPEG", progressive=True)
    own, pixels = jpeg_scans(data), load_image(data).sha256
    assert own > 1
    for photo in (data + b"\0\0\0\x18ftypmp42" + many, data[:2] + b"\xff\xe1\x03\x22" + many + data[2:]):
        assert jpeg_scans(photo) == own
        assert load_image(photo).sha256 == pixels
    start = data.rindex(b"\xff\xda")
    hidden = data[start:-2].replace(b"\xff\xda", b"\xff\x02\xff\xff\xff\xda")  # a mark without a meaning hides none
    assert jpeg_scans(data[:-2] + hidden * 3 + data[-2:]) == own + 3


def test_metadata_and_colour_profiles_are_dropped() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    data = saved(quarters(), "PNG", exif=exif, icc_profile=b"profile", dpi=(72, 72))
    image = load_image(data).image
    assert (image.info, dict(image.getexif()), type(image)) == ({}, {}, Image.Image)
    assert load_image(data).sha256 == load_image(quarters()).sha256


def test_what_is_transparent_is_white() -> None:
    clear = quarters().convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    palette = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    for source in (clear, clear.convert("LA"), saved(clear, "PNG"), saved(clear, "WEBP", lossless=True)):
        assert set(corners(load_image(source).image)) == {WHITE}
    hidden = saved(palette, "PNG", transparency=palette.getpixel((2, 2)))
    assert corners(load_image(hidden).image) == (WHITE, GREEN, BLUE, WHITE)
    hidden = saved(quarters(), "PNG", transparency=RED)
    assert corners(load_image(hidden).image) == (WHITE, GREEN, BLUE, WHITE)
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert load_image(half).image.getpixel((1, 1)) == (255, 127, 127)


def test_sixteen_bits_keep_their_brightness() -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    grey = Image.fromarray(ramp)
    wanted = np.arange(256).reshape(16, 16)
    for source in (grey, saved(grey, "PNG"), Image.fromarray(ramp.astype(np.int32))):
        seen = np.asarray(load_image(source).image)[:, :, 0]
        assert np.abs(seen.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = load_image(quarters().convert("P" if mode == "PA" else mode).convert(mode)).image
    assert image.mode == "RGB"
    assert min(image.getpixel((2, 17))) > 250  # type: ignore[arg-type, type-var]


def test_print_colours_come_out_as_they_are_seen() -> None:
    data = saved(quarters().convert("CMYK"), "JPEG", quality=95)
    seen = np.array(corners(load_image(data).image))
    assert np.abs(seen - np.array(PIXELS)).max() < 12


def test_fractions_have_no_colours() -> None:
    with pytest.raises(InputError, match=r"cannot be decoded \(its pixels are fractions.*give it as an RGB image"):
        load_image(quarters().convert("F"))


# ---------------------------------------------------------------- what is no image


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"Dear reader,\nthis is text.", "plain text"),
        ("größer".encode() * 1000, "plain text"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (pickle.dumps({"a": 1}), "a Python pickle"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
        (saved(quarters(), "TIFF"), "a TIFF image"),
        (saved(quarters(), "ICO"), "a Windows icon"),
        (b"BM, the chemist, wrote:", "plain text"),
        (b"\x7fELF\x02\x01\x01\0", "of an unknown kind"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(content)
    sentence = f"page.png is {kind}, which cannot be read as an image; give a PNG, JPEG, WebP, GIF or BMP image"
    with pytest.raises(InputError) as caught:
        load_image(path)
    assert str(caught.value).endswith(sentence)


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("https://example.org/a.png", "nothing is fetched; download it"),
        ("HTTP://example.org/a.png", "nothing is fetched; download it"),
        ("  ftp://example.org/a.png", "nothing is fetched; download it"),
        ("s3://bucket/a.png", "nothing is fetched; download it"),
        ("file:///etc/passwd", "give the path without file:"),
        ("FILE:/etc/passwd", "give the path without file:"),
        ("blob:https://example.org/7", "nothing is fetched; download it"),
        ("data:image/png;base64,iVBORw0KGgo=", "decode what follows its comma from base64 and give the bytes"),
    ],
)
def test_no_address_is_fetched(monkeypatch: pytest.MonkeyPatch, address: str, advice: str) -> None:
    monkeypatch.setattr(Path, "stat", lambda *_, **__: pytest.fail("a file was looked for"))
    with pytest.raises(InputError, match=advice):
        load_image(address)


def test_a_path_may_hold_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a: b.png").write_bytes(saved(quarters(), "PNG"))
    monkeypatch.chdir(tmp_path)
    assert load_image("a: b.png").size == load_image("./a: b.png").size == (40, 20)
    assert load_image(Path("a: b.png")).size == (40, 20)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.png").touch()
    refused = {
        tmp_path / "none.png": "there is no file",
        tmp_path: "is a folder",
        tmp_path / "pipe": "no regular file",
        Path("/dev/zero"): "no regular file",
        tmp_path / "empty.png": "is empty",
        "a\0b.png": "is not a path",
        "iVBORw0KGgo" * 1000: "cannot be read",
    }
    for source, says in refused.items():
        with pytest.raises(InputError, match=says) as caught:
            load_image(source)
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [None, 3, {"url": "x"}, [b"x"], bytearray(b"x")])
def test_other_values_are_no_images(source: object) -> None:
    with pytest.raises(InputError, match=f"not {type(source).__name__}; give a PNG"):
        load_image(source)  # type: ignore[arg-type]


def test_an_opened_file_of_another_format_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Image.open(BytesIO(saved(quarters(), "TIFF")))
    with pytest.raises(InputError, match="the image is a TIFF file, which is not decoded here"):
        load_image(opened)
    opened.load()
    assert load_image(opened).sha256 == load_image(quarters()).sha256


def test_limits_are_checked_and_named() -> None:
    data = saved(quarters(), "PNG")
    for limits, says in (
        (ImageLimits(max_bytes=50), rf"{len(data)} bytes or more, above the limit of 50; .*max_bytes"),
        (ImageLimits(max_pixels=799), "40 × 20 pixels, above the limit of 799; .*max_pixels"),
        (ImageLimits(max_side=39), "40 × 20 pixels, and a side may have 39; .*max_side"),
    ):
        with pytest.raises(InputError, match=says):
            load_image(data, limits)
    for limits in (ImageLimits(max_pixels=799), ImageLimits(max_side=39)):
        with pytest.raises(InputError, match="40 × 20"):
            load_image(quarters(), limits)
    assert load_image(data, ImageLimits(max_bytes=len(data), max_pixels=800, max_side=40)).size == (40, 20)
    with pytest.raises(InputError, match="max_pixels must be at most 8"):
        ImageLimits(max_pixels=10**9)


def test_without_pillow_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[vision\]'"):
        load_image("a.png")


def test_the_room_is_imported_without_pillow_and_numpy() -> None:
    imports = "import sys; import seal_agent.images.loading, seal_agent.images.encoding"
    code = f"{imports}; print({{'PIL', 'numpy'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
