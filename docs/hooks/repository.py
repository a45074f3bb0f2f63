"""A hook of mkdocs: pages that lie outside docs/, and links from pages to files of the repository.

README, CONTRIBUTING, CHANGELOG and the READMEs of the tasks become pages. A link to another file of the repository
leads to a copy of it in the site; a link to a folder becomes plain text. A link to what is not there is a warning,
which `strict` makes an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{
        f"lm_eval_tasks/{name}/README.md": f"tasks/{name}.md"
        for name in ("seal_novel", "seal_squad", "seal_arc", "seal_pictures")
    },
}
LINK = re.compile(r"(?P<open>!?\[(?P<text>[^\]]*)\])\((?P<target>[^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:|#|/")
log = logging.getLogger("mkdocs.hooks.repository")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point each link at the page or the file that it means."""
    sources = {page_: source for source, page_ in PAGES.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def relinked(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if ELSEWHERE.match(match["target"]):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if (ROOT / path).is_dir():
            return match["text"]
        place = _place(path, config, files)
        if place is None:
            log.warning("%s links to %s, which is not in the repository", source, path)
            return match[0]
        relative = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"{match['open']}({relative}{'#' + anchor if anchor else ''})"

    return LINK.sub(relinked, markdown)


def _place(path: str, config: Any, files: Files) -> str | None:
    """Where a file of the repository is in the site; a file that is no page is copied below files/."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if not (ROOT / path).is_file():
        return None
    place = f"files/{path}{'.txt' if path.endswith('.md') else ''}"  # Markdown added so late would be no page
    if files.get_file_from_path(place) is None:
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return place
