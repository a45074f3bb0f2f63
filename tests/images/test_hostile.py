"""Damaged and hostile files: one sentence each, in bounded memory, whatever their bytes say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import HOSTILE, png, quarters, saved

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images.headers import read_header
from seal_agent.images.loading import load_image

SMALL = ImageLimits(max_bytes=100_000, max_pixels=100_000)
FILES = [
    saved(quarters(), "PNG"),
    saved(quarters().convert("P"), "PNG"),
    saved(quarters(), "JPEG"),
    saved(quarters(), "JPEG", progressive=True),
    saved(quarters(), "WEBP"),
    saved(quarters(), "WEBP", lossless=True),
    saved(quarters(), "GIF"),
    saved(quarters(), "BMP"),
]
PEAKS = """
import json, sys
from pathlib import Path
from PIL import Image
from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images.loading import load_image

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

limits = ImageLimits(max_pixels=int(sys.argv[1]))
load_image(Image.new("RGB", (8, 8)))
for path in map(Path, sys.argv[2:]):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = status("VmRSS")
    try:
        said = str(load_image(path, limits).size)
    except InputError as err:
        said = str(err)
    print(json.dumps([path.name, said, status("VmHWM") - before]))
"""


def peaks(paths: list[Path], max_pixels: int = ImageLimits().max_pixels) -> dict[str, tuple[str, int]]:
    """What is said of each file, and how many bytes more than before the process held at most."""
    command = [sys.executable, "-c", PEAKS, str(max_pixels), *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return {name: (said, rose) for name, said, rose in map(json.loads, ran.stdout.splitlines())}


peak_is_known = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="this system does not count a process's peak anew"
)


@peak_is_known
def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    paths = []
    for name, make in HOSTILE.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make())
        assert paths[-1].stat().st_size < 4_000_000
    found = peaks(paths)
    for name, (said, rose) in found.items():
        assert f"{name} " in said, (name, said)  # refused in one sentence that names the file
        assert said.count(";") == 1, said
        assert "\n" not in said
        assert rose < 80_000_000, (name, rose)
    for name in ("bomb.png", "bomb.bmp"):
        assert "20,000 × 20,000 pixels" in found[name][0]
    assert "a frame of more pixels than its header says" in found["frame.gif"][0]
    assert "scans" in found["scans.jpg"][0]


@peak_is_known
@pytest.mark.parametrize("colour", [2, 6], ids=["RGB", "RGBA"])
def test_the_largest_allowed_image_stays_below_fourteen_bytes_a_pixel(tmp_path: Path, colour: int) -> None:
    side, channels = 2_000, {2: 3, 6: 4}[colour]
    path = tmp_path / "large.png"
    path.write_bytes(png(side, side, (b"\0" + bytes(channels) * side) * side, depth=8, colour=colour))
    said, rose = peaks([path], side * side)[path.name]
    assert said == f"({side}, {side})"
    assert 7 * side * side < rose < 14 * side * side


@pytest.mark.parametrize("data", FILES, ids=lambda data: repr(data[:4]))
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(data: bytes) -> None:
    for end in {*range(1, min(len(data), 40)), len(data) // 2, len(data) * 6 // 10}:
        with pytest.raises(InputError) as caught:
            load_image(data[:end])
        assert ";" in str(caught.value)


def test_noise_after_the_image_does_no_harm() -> None:
    for data in FILES:
        if not data.startswith(b"RIFF"):
            assert load_image(data + b"<script>" + bytes(1000)).size == (40, 20)


def mutated(draw: st.DrawFn) -> bytes:
    """A file with some bytes of its beginning, and a few others, changed, put in or left out."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(len(data) - 1, 120)) | st.integers(0, len(data) - 1))
        what = draw(st.sampled_from(["set", "insert", "cut"]))
        noise = draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"]))
        data[place : place + {"set": len(noise), "insert": 0, "cut": 8}[what]] = b"" if what == "cut" else noise
        if len(data) < 2:
            break
    return bytes(data)


FUZZED = st.composite(mutated)()


def holds(data: bytes) -> None:
    """An image within the limits, or one sentence; nothing else."""
    sentence = ""
    try:
        loaded = load_image(data, SMALL)
    except InputError as err:
        sentence = str(err)
    if sentence:
        assert ";" in sentence
        assert "\n" not in sentence
        assert len(sentence) < 400
        return
    assert loaded.width * loaded.height <= SMALL.max_pixels
    assert loaded.image.mode == "RGB"
    header = read_header(data)
    assert header is not None
    assert header.format == loaded.format


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(FUZZED | st.binary(max_size=200))
def test_any_bytes_are_an_image_or_one_sentence(data: bytes) -> None:
    holds(data)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(FUZZED | st.binary(max_size=200))
def test_any_bytes_are_an_image_or_one_sentence_at_length(data: bytes) -> None:
    holds(data)


@pytest.mark.slow
def test_the_default_limit_is_held_by_a_full_sized_image(tmp_path: Path) -> None:
    side = 6_000
    path = tmp_path / "large.png"
    path.write_bytes(png(side, side, (b"\0" + bytes(4) * side) * side, depth=8, colour=6))
    said, rose = peaks([path])[path.name]
    assert said == f"({side}, {side})"
    assert rose < 14 * ImageLimits().max_pixels
