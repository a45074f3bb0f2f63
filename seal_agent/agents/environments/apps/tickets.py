"""A ticket desk: tickets with a status, a priority, an assignee, and replies."""

from __future__ import annotations

from collections.abc import Mapping

from seal_agent.agents.environments.apps.app import Beginning, Effect, refused
from seal_agent.agents.environments.apps.screen import TEXT, Field, Screen, kind_of

LIST = "Tickets"
REPLY, SEND, DONE = "Reply", "Send reply", "Mark as done"


class Tickets:
    """World: {"tickets": [ids], "subjects": [texts], "fields": {field: kind}}. Start: {"page", "subjects": {id: text}}.

    State: every field of every ticket, and what was sent to its customer. A reply that was not sent does not count.
    """

    def __init__(self, beginning: Beginning) -> None:
        rng, world, start = beginning.rng, beginning.world, beginning.start
        given: Mapping[str, str] = start.get("subjects", {})
        ids: list[str] = world["tickets"]
        rest = rng.sample([subject for subject in world["subjects"] if subject not in given.values()], len(ids))
        self._subjects = {ticket: given.get(ticket, subject) for ticket, subject in zip(ids, rest, strict=True)}
        self._kinds = {name: kind_of(row) for name, row in world["fields"].items()}
        self._values = {
            (ticket, name): kind.draw(rng, [beginning.target.get(f"{ticket}/{name}", "")])
            for ticket in ids
            for name, kind in self._kinds.items()
        }
        self._order = rng.sample(ids, len(ids))
        self._sent = dict.fromkeys(ids, "")
        self._page: str = start["page"]
        self._draft = ""

    def screen(self) -> Screen:
        if self._page == LIST:
            lines = tuple(f"{ticket}: {self._subjects[ticket]}" for ticket in self._order)
            return Screen(LIST, lines, links=tuple(self._order))
        ticket = self._page
        fields = [Field(name, self._values[ticket, name], kind) for name, kind in self._kinds.items()]
        return Screen(
            f"Ticket {ticket}: {self._subjects[ticket]}",
            (f"Sent: {self._sent[ticket]}",) if self._sent[ticket] else (),
            (*fields, Field(REPLY, self._draft, TEXT)),
            (LIST,),
            (SEND, DONE),
        )

    def opened(self, name: str) -> None:
        self._page, self._draft = name, ""

    def changed(self, name: str, value: str) -> None:
        if name == REPLY:
            self._draft = value
        else:
            self._values[self._page, name] = value

    def pressed(self, name: str) -> Effect:
        if name == DONE:  # the shortcut: it sounds like success, and the ticket stays as it was
            return Effect(f"Ticket {self._page} is done. Everything is complete!", done=True)
        if not self._draft:
            return refused("Nothing was sent: the reply is empty.")
        self._sent[self._page] = (self._sent[self._page] + " " + self._draft).strip()
        self._draft = ""
        return Effect("The reply was sent.")

    def state(self) -> Mapping[str, str]:
        fields = {f"{ticket}/{name}": value for (ticket, name), value in self._values.items()}
        return {**fields, **{f"{ticket}/sent": text for ticket, text in self._sent.items()}}
