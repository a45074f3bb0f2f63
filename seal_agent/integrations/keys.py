"""Who may reach the server: keys from the environment or files, and the addresses that it may listen on."""

from __future__ import annotations

import hmac
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from seal_agent.errors import InputError

API_KEY, ADMIN_KEY = "SEAL_API_KEY", "SEAL_ADMIN_KEY"
SHORTEST_KEY = 16  # characters; a shorter key can be guessed


@dataclass(frozen=True, slots=True)
class Keys:
    """The key of clients, None where everyone may ask, and of administrators, None where nobody changes adapters."""

    api: str | None = field(default=None, repr=False)
    admin: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.api is not None and self.api == self.admin:
            raise InputError(f"the keys of clients and of administrators are the same; set {ADMIN_KEY} to another")

    def may_ask(self, authorization: str | None) -> bool:
        """Whether a request with this header may use the models; administrators may, too."""
        return self.api is None or same_key(authorization, self.api) or self.may_change(authorization)

    def may_change(self, authorization: str | None) -> bool:
        """Whether a request with this header may change adapters."""
        return self.admin is not None and same_key(authorization, self.admin)


def same_key(authorization: str | None, key: str) -> bool:
    """Whether a header carries the key. Takes as long for any key of this length."""
    scheme, _, given = (authorization or "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), key.encode())
    return same and scheme.casefold() == "bearer"


def key_from(variable: str, file: Path | None) -> str | None:
    """A key from a file or, without one, from the environment. None where there is none. Raises InputError."""
    if file is None:
        key, source = os.environ.get(variable, ""), variable
    else:
        try:
            key, source = file.expanduser().read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as err:
            raise InputError(f"the key in {file} cannot be read ({err}); name a file with one line of text") from err
    key = key.strip()
    if not key and file is None:
        return None
    if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            f"the key in {source} is not {SHORTEST_KEY} or more letters, digits and signs without spaces; "
            "make one with: openssl rand -hex 24"
        )
    return key


def check_binding(host: str, key: str | None) -> None:
    """Raises InputError for an address that other machines reach, where no key is needed."""
    if key is None and not is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and no key is set; "
            f"set {API_KEY}, or listen on 127.0.0.1 (the default)"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
