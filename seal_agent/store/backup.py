"""A store in one file, to keep or to move to another machine."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from seal_agent import durable
from seal_agent.errors import InputError, StoreError, first_line
from seal_agent.lora.peft_files import CONFIG, WEIGHTS
from seal_agent.store.cleaning import RESTORING
from seal_agent.store.files import PROVENANCE
from seal_agent.store.ledger import Ledger
from seal_agent.store.verify import verify, verify_locked

DATABASE = "ledger.sqlite"
_FILES = "|".join(map(re.escape, (CONFIG, WEIGHTS, PROVENANCE)))
_MEMBER = re.compile(rf"{re.escape(DATABASE)}|adapters/[0-9a-f]{{64}}/({_FILES})")


def backup(ledger: Ledger, file: Path) -> int:
    """Write the whole store into a tar file; returns its size in bytes.

    Raises InputError where the file exists, StoreError where it cannot be written, or where `verify` finds something
    wrong with the store, so that `restore` would refuse it.
    """
    if file.exists():
        raise InputError(f"{file} exists; choose another name")
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with ledger.only_writer_of_folders(), tempfile.TemporaryDirectory(prefix="seal-backup-") as place:
            copy = Path(place) / DATABASE
            if problems := [problem for problem in verify_locked(ledger).problems if not problem.passing]:
                raise StoreError(
                    f"{problems[0].what}, and a backup could not be restored so; {problems[0].fix} (`seal verify` "
                    f"shows all {len(problems)})"
                )
            folders = _copy_database(ledger, copy)
            with tarfile.open(draft, "w") as archive:
                archive.add(copy, DATABASE)
                for folder in folders:
                    for path in sorted((ledger.adapters_folder / folder).iterdir()):
                        archive.add(path, f"adapters/{folder}/{path.name}", recursive=False)
        durable.flush(draft)
        durable.rename(draft, file)
        durable.flush(file.absolute().parent)
    except OSError as err:
        raise StoreError(f"the backup could not be written to {file} ({err.strerror or err})") from err
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return file.stat().st_size


def restore(file: Path, home: Path) -> Ledger:
    """Unpack a backup into a new home, or into a store that holds nothing, after every part of it was checked.

    Looking at a home makes such a store. Raises InputError where it holds something, StoreError for a damaged backup.
    """
    present = Ledger(home) if (home / DATABASE).is_file() else None
    if _has_folders(home) or (present.is_used() if present else os.path.lexists(home / DATABASE)):
        raise InputError(f"{home} holds a store already; give another by --home, or move that one away")
    draft, new = home / f"{RESTORING}{uuid.uuid4().hex}", not home.exists()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            raise InputError(f"{file} is no file; give the one that `seal backup` wrote")
        _unpack(file, draft)
        unpacked = Ledger(draft)
        problems = verify(unpacked).problems
        unpacked.database.close()
        if problems:
            raise StoreError(f"{file} is damaged: {problems[0].what}; nothing was restored")
        if present:
            _fill(present, draft)
        else:
            _move_folders(draft, home)
            durable.rename(draft / DATABASE, home / DATABASE)
        durable.flush(home)
    except (OSError, tarfile.TarError, EOFError) as err:
        raise StoreError(f"{file} could not be restored ({first_line(err)}); nothing was restored") from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if new:
            with suppress(OSError):  # it holds what was restored
                home.rmdir()
    return Ledger(home)


def _fill(present: Ledger, draft: Path) -> None:
    """Put what was unpacked into a store that holds nothing; programs that have it open see the change.

    Raises InputError if something was written to it meanwhile.
    """
    home = present.path.parent
    with present.only_writer_of_folders():
        if present.is_used() or _has_folders(home):
            raise InputError(f"something was learnt in {home} meanwhile; give another by --home")
        _move_folders(draft, home)
        source = sqlite3.connect(draft / DATABASE)
        try:
            source.backup(present.database.connection)
        except sqlite3.Error as err:
            shutil.rmtree(home / "adapters", ignore_errors=True)
            raise StoreError(f"the ledger in {home} could not be written ({err}); nothing was restored") from err
        finally:
            source.close()


def _move_folders(draft: Path, home: Path) -> None:
    if (draft / "adapters").is_dir():
        with suppress(FileNotFoundError):
            (home / "adapters").rmdir()
        durable.rename(draft / "adapters", home / "adapters")


def _has_folders(home: Path) -> bool:
    place = home / "adapters"
    return os.path.lexists(place) and not (place.is_dir() and not any(place.iterdir()))


def _copy_database(ledger: Ledger, copy: Path) -> list[str]:
    """Copy the database; returns the names of the folders that the copy speaks of."""
    target = sqlite3.connect(copy)
    try:
        ledger.database.connection.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        return [folder for (folder,) in target.execute("SELECT DISTINCT folder FROM revisions ORDER BY folder")]
    except sqlite3.Error as err:
        raise StoreError(f"the ledger could not be copied ({err})") from err
    finally:
        target.close()


def _unpack(file: Path, folder: Path) -> None:
    """Unpack plain files with the names of a store. Raises StoreError for anything else."""
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            if not member.isreg() or not _MEMBER.fullmatch(member.name):
                raise StoreError(f"{file} is no backup of a store: it holds {member.name!r}; nothing was restored")
            content = archive.extractfile(member)
            assert content is not None
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write(path, content.read())
