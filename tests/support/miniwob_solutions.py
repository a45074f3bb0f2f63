"""Scripted solutions of MiniWoB++'s families, which read nothing but what an agent sees."""

from __future__ import annotations

import re
from collections.abc import Callable

from possible_calls import is_possible

from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.agents.environments.miniwob.environment import MiniWobEnvironment

ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")


class Hand:
    """Acts on a page by what its lines say."""

    def __init__(self, environment: MiniWobEnvironment, task: Task) -> None:
        self.environment, self.goal = environment, task.goal
        self.shown: Observation = environment.reset(task)

    @property
    def lines(self) -> list[str]:
        return self.shown.text.splitlines()

    @property
    def quoted(self) -> list[str]:
        return re.findall(r'"([^"]*)"', self.goal)

    def numbers(self, pattern: str) -> list[str]:
        """The reference numbers of the lines whose rest matches."""
        found = [re.fullmatch(r"\[(\d+)\] (.*)", line) for line in self.lines]
        return [line[1] for line in found if line and re.match(pattern, line[2])]

    def named(self, name: str, roles: str = "button|item|link|tab") -> list[str]:
        return self.numbers(rf'(?:{roles}) "{re.escape(name)}"(?: |$)')

    def after(self, label: str) -> str:
        """The number of the first element below a line of text."""
        place = self.lines.index(label)
        return next(line[1 : line.index("]")] for line in self.lines[place:] if line.startswith("["))

    def act(self, tool: str, ref: str, **arguments: str) -> None:
        action = Action(tool, {"ref": ref, **arguments})
        assert is_possible(action, self.shown), (action, self.shown.text)
        self.shown = self.environment.step(action)

    def click(self, name: str) -> None:
        self.act("click", self.named(name)[0])

    def fill(self, index: int, text: str) -> None:
        self.act("type", self.numbers("textbox")[index], text=text)

    def submit(self, name: str = "Submit") -> None:
        self.act("click", self.named(name, "button")[0])


def click_quoted(hand: Hand) -> None:
    hand.click("Close" if hand.quoted[0] == "x" else hand.quoted[0])


def click_tab(hand: Hand) -> None:
    hand.click(re.search(r"Tab #\d+", hand.goal)[0])  # type: ignore[index]


def focus(hand: Hand) -> None:
    hand.act("click", hand.numbers("textbox")[ordinal(hand.goal)])


def ordinal(text: str) -> int:
    return int(ORDINAL.search(text)[1]) - 1  # type: ignore[index]


def enter_quoted(hand: Hand) -> None:
    for index in range(len(hand.numbers("textbox"))):
        hand.fill(index, hand.quoted[min(index, len(hand.quoted) - 1)])
    hand.act("click", hand.numbers("button")[-1])


def enter_moment(hand: Hand) -> None:
    hand.fill(0, re.search(r"Enter (.*) as the", hand.goal)[1])  # type: ignore[index]
    hand.submit()


def choose(hand: Hand) -> None:
    option = re.search(r"Select (.*) from the list", hand.goal)[1]  # type: ignore[index]
    hand.act("select", hand.numbers("combobox")[0], option=option)
    hand.submit()


def tick(hand: Hand) -> None:
    for name in re.search(r"Select (.*) and click Submit", hand.goal)[1].split(", "):  # type: ignore[index]
        if name != "nothing":
            hand.act("click", hand.named(name, "radio|checkbox")[0])
    hand.submit()


def look_behind_tabs(hand: Hand) -> None:
    for tab in hand.numbers("tab"):
        if not hand.named(hand.quoted[0], "item"):
            hand.act("click", tab)
    hand.click(hand.quoted[0])


def read_table(hand: Hand) -> None:
    label = re.search(r"value of (.*) into", hand.goal)[1]  # type: ignore[index]
    hand.fill(0, next(line.removeprefix(label + " ") for line in hand.lines if line.startswith(label + " ")))
    hand.submit()


def read_table_twice(hand: Hand) -> None:
    for label in [line for line in hand.lines if line.endswith(":")]:
        row = label.removesuffix(":") + " "
        value = next(line.removeprefix(row) for line in hand.lines if line.startswith(row))
        hand.act("type", hand.after(label), text=value)
    hand.submit()


def calculate(hand: Hand) -> None:
    left, sign, right = re.match(r"(\d+) (\S) (\d+) =", hand.lines[0]).groups()  # type: ignore[union-attr]
    a, b = int(left), int(right)
    hand.fill(0, str({"+": a + b, "-": a - b, "x": a * b}[sign]))
    hand.submit()


def delete_email(hand: Hand) -> None:
    sender = re.search(r"email by (\w+)", hand.goal)[1]  # type: ignore[index]
    row = int(hand.numbers(rf'item "{sender} ')[0])
    hand.act("click", next(number for number in hand.named("trash") if int(number) > row))


def search(hand: Hand) -> None:
    hand.fill(0, hand.quoted[0])
    hand.submit("Search")
    wanted = ordinal(hand.goal)
    per_page = 3
    for _ in range(wanted // per_page):
        hand.click(">")
    hand.act("click", hand.numbers('link "(?![<>]|\\d)')[wanted % per_page])


def radio_and_text(hand: Hand) -> None:
    radio, box = (int(number) - 1 for number in ORDINAL.findall(hand.goal))
    hand.act("click", hand.numbers("radio")[radio])
    hand.fill(box, hand.quoted[0])
    hand.submit()


def odd_or_even(hand: Hand) -> None:
    numbers = [int(line) for line in hand.lines if re.fullmatch(r"-?\d+", line)]
    rows = list(zip(hand.named("Odd"), hand.named("Even"), strict=True))
    for number, (odd, even) in zip(numbers, rows, strict=True):
        hand.act("click", odd if number % 2 else even)
    hand.submit()


def phone_book(hand: Hand) -> None:
    name, what = re.search(r"Find (\w+) in .* click on their (.*)\.", hand.goal).groups()  # type: ignore[union-attr]
    while name not in hand.lines:
        hand.click(">")
    label = {"phone number": "Phone:", "email": "Email:", "address": "Address:"}[what]
    hand.act("click", hand.after(label))


SOLUTIONS: dict[str, Callable[[Hand], None]] = {
    "click-button": click_quoted,
    "click-link": click_quoted,
    "click-dialog-2": click_quoted,
    "unicode-test": click_quoted,
    "click-tab": click_tab,
    "focus-text-2": focus,
    "enter-text": enter_quoted,
    "enter-text-dynamic": enter_quoted,
    "enter-date": enter_moment,
    "enter-time": enter_moment,
    "choose-list": choose,
    "click-option": tick,
    "click-checkboxes": tick,
    "click-tab-2": look_behind_tabs,
    "click-collapsible-2-nodelay": look_behind_tabs,
    "read-table": read_table,
    "read-table-2": read_table_twice,
    "simple-arithmetic": calculate,
    "email-inbox-delete": delete_email,
    "login-user": enter_quoted,
    "enter-password": enter_quoted,
    "search-engine": search,
    "form-sequence-2": radio_and_text,
    "odd-or-even": odd_or_even,
    "phone-book": phone_book,
}
