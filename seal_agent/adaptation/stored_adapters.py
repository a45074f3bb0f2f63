"""Adapters by name, and the revisions of each: what a model has stored, reads back, takes back and gives away."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

from seal_agent.adaptation import reviews
from seal_agent.adaptation.arguments import checks_arguments
from seal_agent.adaptation.compare import Comparison, changed_answers, questions_of
from seal_agent.adaptation.foreign import check_fits, foreign_revision
from seal_agent.adaptation.forget import delete_adapter
from seal_agent.base_model.identity import differing_settings
from seal_agent.base_model.loading import peft_source
from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled
from seal_agent.errors import AdapterError, BaseModelWarning, InputError
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import export_peft
from seal_agent.store import budget, files
from seal_agent.store.entries import check_usable
from seal_agent.store.importing import read_foreign
from seal_agent.store.ledger import Ledger
from seal_agent.store.loaded import LoadedAdapters
from seal_agent.store.names import check_name, revision_id
from seal_agent.store.namespaced import NamespacedLedger
from seal_agent.store.namespaces import Namespace, full_name
from seal_agent.types import Forgotten, Revision

DEFAULT_ADAPTER = "default"


@checks_arguments
class StoredAdapters:
    """The part of a model that is about its store. `namespace` is () for a model that reaches the whole of it."""

    base: BaseModel
    engine: Engine
    grader: Grader
    namespace: Namespace
    _ledger: Ledger
    _loaded: LoadedAdapters
    _forgotten: int
    _full_names: dict[str, str]
    _policy_revision: str | None

    @property
    def ledger(self) -> Ledger:
        """What was learned when. A namespace's handle shows what is its own, to be read."""
        if not self.namespace:
            return self._ledger
        return NamespacedLedger(self._ledger, lambda name: self._owns(name) or name in self._full_names.values())

    def full_name(self, adapter: str = DEFAULT_ADAPTER) -> str:
        """The name of an adapter in the whole store. Raises InputError for what is no name."""
        check_name(adapter)
        if not self.namespace:
            return adapter
        self._full_names[adapter] = full_name(self.namespace, adapter)
        return self._full_names[adapter]

    def history(self, adapter: str = DEFAULT_ADAPTER) -> list[Revision]:
        """Every revision of an adapter, oldest first, including those that were taken back."""
        self._check_known(adapter)
        return self._ledger.history(self.full_name(adapter))

    def adapters(self) -> dict[str, str | None]:
        """Every adapter's active revision, by name; None where it is rolled back to the base model."""
        everything = self._ledger.adapters()
        if not self.namespace:
            return everything
        return {name: everything[full] for name, full in self._own_adapters().items() if full in everything}

    def rollback(self, adapter: str = DEFAULT_ADAPTER, to: str | Revision | None = None) -> Revision | None:
        """Make an earlier revision active again: the parent, a revision or its id, or "base".

        Returns the revision now active, None for the base model. Nothing is deleted. Raises AdapterError.
        """
        self._check_known(adapter)
        to = None if to is None else revision_id(to)
        if to not in (None, "base"):
            self._owner_of(to)
        return self._ledger.rollback(self.full_name(adapter), to)

    def promote(self, revision: str | Revision) -> Revision:
        """Make a quarantined revision the active one of its adapter: somebody trusts it.

        Raises AdapterError where it is not quarantined, or where its adapter has gone on meanwhile.
        """
        return reviews.promote(self._ledger, self._own_revision(revision_id(revision)))

    def revoke(self, revision: str | Revision) -> Revision | None:
        """Never use a revision again, nor what was learned on top of it. Nothing is deleted.

        Returns the revision now active, None for the base model. Raises AdapterError.
        """
        return reviews.revoke(self._ledger, self._own_revision(revision_id(revision)))

    def import_adapter(self, folder: str | Path, *, adapter: str = DEFAULT_ADAPTER, title: str = "") -> Revision:
        """Take a PEFT folder of somebody else's into quarantine: it answers as "ADAPTER@REVISION" until `promote`.

        Raises AdapterError for a folder that is not plainly an adapter of this base model, BudgetError where there may
        be no more on disk.
        """
        source, name = Path(folder).expanduser(), self.full_name(adapter)
        budget.check_room(self._ledger, name)
        imported = read_foreign(source)
        check_fits(imported.adapter, self.base)
        with self._ledger.only_writer_of_folders():
            stored = files.save(imported.adapter, self.base.name, self.base.identity, self._ledger.adapters_folder)
            self._claim(name)
            revision = foreign_revision(imported, source, name, title, self.base.identity, stored)
            if self._ledger.exists(revision.id):
                return self._ledger.get(revision.id)
            return self._ledger.record(revision, imported.sha256, stored)

    def check_budget(self, adapter: str = DEFAULT_ADAPTER) -> None:
        """Raises BudgetError where another training of this adapter would break a limit; see `seal budget`."""
        budget.check(self._ledger, self.full_name(adapter))

    def diff(self, left: str | Revision, right: str | Revision) -> Comparison:
        """The questions that two revisions (or "base") answer differently: their own, and general ones."""
        sides = [None if side == "base" else self._own_revision(revision_id(side)) for side in (left, right)]
        asked = [r for side in sides if side for r in (side, *self._ledger.ancestors(side.id))]
        contexts = questions_of(asked, bundled.guard_questions())
        weights = [self.weights_of(side.id) if side else None for side in sides]
        return changed_answers(self.engine, self.base, self.grader, contexts, *weights)

    def delete_adapter(self, adapter: str) -> None:
        """Delete an adapter for good: all revisions, their texts and weights. Only ids and dates stay.

        Raises AdapterError for an unknown one, StoreError where all is done but a file could not be deleted.
        """
        self._check_known(adapter)
        self._drop(delete_adapter(self._ledger, self.full_name(adapter)))

    def forgotten(self, adapter: str = DEFAULT_ADAPTER) -> list[Forgotten]:
        """What `forget` erased of an adapter, oldest first: ids and dates, no text."""
        self._check_known(adapter)
        return self._ledger.forgotten(self.full_name(adapter))

    def export(self, adapter: str, path: str | Path) -> Path:
        """Write the active revision as a plain PEFT folder, which PEFT and vLLM load. Returns the folder."""
        lora = self.adapter(adapter)
        if lora is None:
            raise AdapterError(f"adapter {adapter!r} is the base model itself; there is nothing to export")
        folder = Path(path).expanduser()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not an empty folder; choose another path")
        export_peft(lora, self.base.module, peft_source(self.base), self.base.identity, folder)
        return folder

    def adapter(self, name: str) -> LoraAdapter | None:
        """The weights of an adapter's active revision; None where that is the base model.

        "NAME@REVISION" names one revision, active or not: the only way to ask one in quarantine. "default" is the base
        model until something has been learned; another unknown name is an AdapterError.
        """
        name, _, wanted = name.partition("@")
        full = self.full_name(name)
        if wanted:
            return self._named_revision(full, wanted)
        while (revision := self._ledger.active(full)) is not None:
            try:
                return self.weights_of(revision)
            except AdapterError:
                if self._ledger.active(full) == revision:  # else it was forgotten between the two lines
                    raise
        if name != DEFAULT_ADAPTER:
            self._check_known(name)
        return None

    def _named_revision(self, adapter: str, revision: str) -> LoraAdapter:
        found = self._own_revision(revision)
        if found.adapter != adapter:
            raise AdapterError(f"there is no revision {revision!r} of this adapter; `seal history` lists those it has")
        check_usable(found, named=True)
        return self.weights_of(revision)

    def weights_of(self, revision: str | Revision) -> LoraAdapter:
        """The weights of a revision, from memory if it was used lately.

        Raises AdapterError where it is unknown or was forgotten, by this process or another.
        """
        revision = revision_id(revision)
        self._drop_forgotten()
        self._check_exists(revision)
        if self.namespace:
            self._own_revision(revision)
        try:
            return self._loaded[revision]
        except KeyError:
            return self._read(revision)

    # ------------------------------------------------------------ whose an adapter is

    def _own_adapters(self) -> dict[str, str]:
        """The adapters of this handle's namespace: their own names, and those in the whole store."""
        return self._ledger.claimed(self.namespace)

    def _owns(self, full: str) -> bool:
        """Whether an adapter is of this namespace; stores before there were any knew only its full name."""
        return not self.namespace or full == full_name(self.namespace) or full in self._own_adapters().values()

    def _check_own(self, full: str) -> None:
        """Raises AdapterError for an adapter of another namespace, as if there were none."""
        check_name(full)
        if not self._owns(full) and full not in self._full_names.values():
            raise AdapterError(f"there is no adapter {full!r} here")

    def _own_revision(self, revision: str) -> Revision:
        """A revision of this namespace. Raises AdapterError for another's, as if there were none."""
        self._owner_of(revision)
        return self._ledger.get(revision)

    def _owner_of(self, revision: str) -> str:
        """The adapter of a revision, forgotten ones included; raises as `_own_revision`."""
        owner = self._ledger.adapter_of(revision)
        if owner is None or not self._owns(owner):
            raise AdapterError(f"there is no revision {revision!r}; `seal history` lists them")
        return owner

    def _check_known(self, adapter: str) -> None:
        """Raises InputError for a bad name, AdapterError for an adapter that has learned nothing yet."""
        full = self.full_name(adapter)
        if not self.namespace:
            self._ledger.check_known(full)
        elif not self._ledger.is_known(full):
            known = ", ".join(self._own_adapters()) or "none yet"
            raise AdapterError(f"there is no adapter {adapter!r} in this namespace; known: {known}")

    def _claim(self, full: str) -> None:
        """Write down whose an adapter is that is made now."""
        if self.namespace:
            names = {own: name for name, own in self._full_names.items()}
            self._ledger.claim(full, self.namespace, names.get(full, DEFAULT_ADAPTER))

    # ------------------------------------------------------------ weights in memory

    def _read(self, revision: str) -> LoraAdapter:
        folder = self._ledger.adapters_folder / self._ledger.folder(revision)
        also = self._ledger.former_identities(self.base.identity)
        weights = files.load(folder, self.base.identity, also)
        self._warn_of_settings(revision)
        # Threads that ask for it at once get the same object, which the engine recognises.
        weights = self._loaded.setdefault(revision, weights)
        self._check_exists(revision)  # it may have been forgotten while it was read
        return weights

    def _check_exists(self, revision: str) -> None:
        """Raises AdapterError where there is no such revision, and drops its weights."""
        if not self._ledger.exists(revision):
            self._drop([revision])
            self._own_revision(revision)

    def _warn_of_settings(self, revision: str) -> None:
        """An adapter whose base model has another chat template, say, is used all the same; its user should know."""
        recorded = self._ledger.get(revision)
        if changes := differing_settings(recorded.base_settings, self.base.settings):
            warnings.warn(
                f"adapter {recorded.adapter!r} was trained with other settings of the base model: "
                f"{'; '.join(changes)}. It is used all the same",
                BaseModelWarning,
                stacklevel=2,
            )

    def _drop_forgotten(self) -> None:
        """Drop weights that another process has forgotten."""
        forgotten = self._ledger.count_forgotten()
        if forgotten != self._forgotten:
            held = {*self._loaded, *filter(None, [self._policy_revision])}
            self._drop([revision for revision in held if not self._ledger.exists(revision)])
            self._forgotten = forgotten

    def _drop(self, revisions: Collection[str]) -> None:
        """Forget weights in memory."""
        self._loaded.drop(revisions)
