"""`seal leaderboard` and `seal submit`: a site from results, and the check of a row before it is contributed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import Json, print_json
from seal_agent.errors import InputError

LEADERBOARD_EXAMPLE = "Example: seal leaderboard results --out site   (then open site/index.html)"
SUBMIT_EXAMPLE = "Example: seal submit results/novel_n1-default-base-40.json"


def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="Folders or files that `seal bench` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the site.")] = Path("site"),
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables as Markdown.")] = None,
    as_json: Json = False,
) -> None:
    """Make a static site of results, which works from its folder without a server."""
    from seal_agent.evaluation.leaderboard.markdown import markdown as as_markdown
    from seal_agent.evaluation.leaderboard.site import build_site, entries_of

    with console.waiting("reading the results", quiet=as_json):
        entries = entries_of(folders)
        pages = build_site(entries, out)
    if markdown:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(as_markdown(entries), encoding="utf-8")
    if as_json:
        print_json(rows=len(entries), pages=[str(page) for page in pages])
    else:
        console.out.print(f"{len(entries)} rows on {len(pages)} pages; open {pages[0]}", markup=False, soft_wrap=True)


def submit(
    file: Annotated[
        Path,
        typer.Argument(help="Results of `seal bench`, with their answers beside them; with --regrade also a folder."),
    ],
    data: Annotated[
        Path | None, typer.Option(help="The suite's passages, to check that the questions are theirs.")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--regrade", help="Check nothing: grade the answers again with today's grader, and write the row anew."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a row that is to be contributed: schema, hashes, questions, answers graded again, means recomputed."""
    if again:
        _regrade(file, as_json)
        return
    from seal_agent.evaluation.submit import check_submission

    with console.waiting("grading answers again", quiet=as_json):
        checks = check_submission(file, str(data) if data else None)
    if as_json:
        print_json(file=str(file), accepted=True, checks=list(checks.made), not_checked=list(checks.not_made))
        return
    tick = _printable("✓", "ok:")
    for check in checks.made:
        console.out.print(f"{tick} {check}", markup=False)
    for check in checks.not_made:
        console.out.print(f"- not checked: {check}", markup=False)
    console.out.print("The row holds. Add it below benchmarks/results/board/ in a pull request.", markup=False)


def _regrade(place: Path, as_json: bool) -> None:
    """Grade a row again, or every row below a folder; a row of a folder that cannot be is named and left as it is."""
    from seal_agent.evaluation.regrade import Regraded, regrade
    from seal_agent.evaluation.results import results_in

    rows: list[Regraded] = []
    left: dict[str, str] = {}
    with console.waiting("grading answers again", quiet=as_json):
        for path, _ in results_in(place):
            try:
                rows.append(regrade(path))
            except InputError as err:
                if place.is_file():
                    raise
                left[str(path)] = str(err)
    if as_json:
        shown = [{"file": str(row.path), "answers": row.answers, "changed": row.changed} for row in rows]
        print_json(rows=shown, left=left)
        return
    for row in rows:
        what = (
            f"{row.changed} of {row.answers} verdicts changed" if row.answers else "no answers; its means were computed"
        )
        console.out.print(f"{row.path}: {what}", markup=False, soft_wrap=True)
    for reason in left.values():
        console.err.print(f"left as it is: {reason}", style="yellow", markup=False)


def _printable(sign: str, otherwise: str) -> str:
    """The sign where the output's encoding has it, which that of a pipe may not."""
    try:
        sign.encode(console.out.encoding)
    except UnicodeEncodeError:
        return otherwise
    return sign
