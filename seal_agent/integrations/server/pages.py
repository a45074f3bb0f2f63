"""The page at /: three files of this package, which may load nothing else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def routes() -> APIRouter:
    """The page, its style and its script."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files(__package__) / "page"
    for name, kind in _TYPES.items():
        path = "/" if name == "index.html" else f"/{name}"
        router.add_api_route(path, _file((folder / name).read_bytes(), kind), response_model=None)
    return router


def _file(content: bytes, kind: str) -> Callable[[], Response]:
    def answer() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return answer
