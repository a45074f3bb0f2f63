"""The bytes of an image file, from where a caller says that it is: a regular file, never an address."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from seal_agent.config import ImageLimits
from seal_agent.errors import InputError

_ADDRESS = re.compile(r"\s*(?:([a-z][a-z0-9+.-]+)://|(data|file|blob):)", re.IGNORECASE)  # "C:" is a drive
_SHOWN = 80  # characters of a path in an error message


def read_file(path: str | Path, limits: ImageLimits) -> bytes:
    """The bytes of a file. Raises InputError for an address, what is no regular file, and a file that is too large."""
    text = str(path)
    if isinstance(path, str):
        _refuse_address(path)
    name = shortened(text)
    try:
        where = Path(text).expanduser()
        found = where.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device may never end
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise InputError(f"{name} is {kind}; give an image file")
        check_bytes(found.st_size, name, limits)
        with where.open("rb") as file:
            data = file.read(limits.max_bytes + 1)  # it may have grown meanwhile
    except FileNotFoundError:
        raise InputError(f"there is no file {name}; check the path") from None
    except OSError as err:
        raise InputError(f"{name} cannot be read ({err.strerror}); give an image file") from err
    except (ValueError, RuntimeError) as err:  # a NUL in the path; a "~" without a home
        raise InputError(f"{name!r} is not a path ({err}); give an image file") from err
    check_bytes(len(data), name, limits)
    return data


def check_bytes(count: int, name: str, limits: ImageLimits) -> None:
    """Raises InputError for a file that is empty or larger than the limit."""
    if count == 0:
        raise InputError(f"{name} is empty; give an image file")
    if count > limits.max_bytes:
        raise InputError(
            f"{name} has {count:,} bytes or more, above the limit of {limits.max_bytes:,}; "
            "save it smaller, or raise max_bytes"
        )


def shortened(text: str) -> str:
    """A path that is short enough for an error message, in one line; its end names the file."""
    text = _in_one_line(text)
    return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"


def _in_one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _refuse_address(text: str) -> None:
    found = _ADDRESS.match(text)
    if not found:
        return
    scheme = (found[1] or found[2]).lower()
    if scheme == "data":
        raise InputError("a data: address is not a path; decode what follows its comma from base64 and give the bytes")
    if scheme == "file":
        raise InputError(f"{shortened(text)} is an address; give the path without file:")
    shown = _in_one_line(text)[:_SHOWN]
    raise InputError(f"{shown} is an address, and nothing is fetched; download it, then give the file's path")
