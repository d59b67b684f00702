"""A notebook in the browser and the explorer in it, as a person sees and uses them: by sight, mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.notebook.jupyterlab_session import PATIENCE, Lab

PANEL = ".matcalc-explorer"
EXPRESSION = ".matcalc-expression"
READING = ".matcalc-reading"
VARIABLE = ".matcalc-wrt"
LAYOUT = ".matcalc-layout"
ANSWER = ".matcalc-answer"
CLAIM = ".matcalc-claim"
JUDGEMENT = ".matcalc-claim-answer"
ERROR = ".matcalc-error"
TABS = ".matcalc-tabs"
_LEGIBILITY = Path(__file__).with_name("legibility.js")
_MOST_TABS = 40
_PROMPT = ".jp-CodeCell .jp-InputPrompt"
_IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
_CELL = ".jp-CodeCell .cm-content"
# What is there for screen readers alone is not seen: it is left out for the moment of reading.
_READ_SEEN = """
const told = [...document.querySelectorAll('.matcalc-told, .matcalc-quiet .widget-label, mjx-assistive-mml')];
told.forEach(each => each.style.setProperty('display', 'none', 'important'));
const places = [...document.querySelectorAll(arguments[0])];
const seen = places.filter(each => each.checkVisibility({visibilityProperty: true}));
const text = seen.map(each => each.innerText).join('\\n');
told.forEach(each => each.style.removeProperty('display'));
return text;
"""
_LIST_PICTURES = """
const pictures = [...document.querySelectorAll(arguments[0] + ' img')];
return pictures.filter(each => each.checkVisibility() && each.naturalWidth > 0).map(each => each.alt);
"""
_HAS_FOCUS = """
const focused = document.activeElement;
return focused.matches(arguments[0]) && focused.innerText.includes(arguments[1]);
"""
# A caret blinks for ever: only what ends is waited for.
_STILL = """
const moving = document.getAnimations().filter(each => each.playState === 'running');
return moving.every(each => each.effect.getComputedTiming().endTime === Infinity);
"""
_READ_SHAPES = """
const rows = [...document.querySelectorAll('.matcalc-row')];
return Object.fromEntries(rows.map(row => [row.querySelector('code').innerText, row.querySelector('input').value]));
"""
_READ_TILES = """
const tiles = [...document.querySelectorAll('.matcalc-answer .mc-tile')];
tiles.sort((one, other) => one.getBoundingClientRect().left - other.getBoundingClientRect().left);
return tiles.map(tile => tile.querySelector('b').innerText);
"""
# Mathematics is drawn with glyphs that hold no text; what screen readers are given does.
_READ_MATHEMATICS = """
return [...document.querySelectorAll(arguments[0] + ' mjx-container')].map(each => each.textContent)
"""


class NotebookPage:
    """A notebook of its own in a running JupyterLab, opened in `browser`, and what a person does there."""

    def __init__(self, browser: Any, lab: Lab) -> None:
        self.browser = browser
        self.lab = lab

    def open(self, name: str, *cells: str) -> None:
        """Writes a notebook of these cells, opens it, and waits for its kernel."""
        self.lab.write_notebook(name, list(cells))
        self.browser.get(self.lab.address_of(name))
        self.find(_CELL)
        # The words of the status bar are left out where the window is narrow.
        self.wait(lambda: self.find_all(_IDLE), "a kernel that is ready")

    def run_cell(self, number: int = 0) -> None:
        """Runs a cell as a person does, with Shift and Enter, once more where the kernel was not ready for it."""
        from selenium.webdriver.common.keys import Keys

        def is_taken() -> bool:
            if self.find_all(_PROMPT)[number].text.strip() in ("", "[ ]:"):
                self.find_all(_CELL)[number].click()
                self.press(Keys.ENTER, held=Keys.SHIFT)
            return self.find_all(_PROMPT)[number].text.strip() not in ("", "[ ]:")

        self.wait(is_taken, "a cell that runs")

    def press(self, *keys: str, held: str = "") -> None:
        """Types on the keyboard, wherever the focus is, perhaps while another key is held."""
        from selenium.webdriver.common.action_chains import ActionChains

        typing = ActionChains(self.browser)
        if held:
            typing.key_down(held)
        typing.send_keys(*keys)
        if held:
            typing.key_up(held)
        typing.perform()

    def reach(self, selector: str, text: str = "", back: bool = False) -> None:
        """Goes on with the Tab key, or back with Shift, until the focus is on such an element, which holds the text."""
        from selenium.webdriver.common.keys import Keys

        for _ in range(_MOST_TABS):
            if self.browser.execute_script(_HAS_FOCUS, selector, text):
                return
            self.press(Keys.TAB, held=Keys.SHIFT if back else "")
        raise AssertionError(f"{text!r} at {selector} is not within {_MOST_TABS} presses of the Tab key")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Waits until a condition holds, through redrawing, and gives its value; else fails with what the page says."""
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            ElementNotInteractableException,
            NoSuchElementException,
            StaleElementReferenceException,
            TimeoutException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        passing = (
            NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException,
            ElementClickInterceptedException,
        )  # fmt: skip
        try:
            return WebDriverWait(self.browser, PATIENCE, 0.05, passing).until(lambda _: condition())
        except TimeoutException:
            page = self.read(".jp-NotebookPanel")
            picture = self.lab.home / "waited_in_vain.png"
            self.browser.save_screenshot(str(picture))
            raise AssertionError(f"waited in vain for {what}; {picture} shows the page, which says:\n{page}") from None

    def await_rest(self) -> None:
        """Waits until nothing moves on the page any more."""
        self.wait(lambda: self.browser.execute_script(_STILL), "the end of all movements")

    def find_all(self, selector: str) -> list[Any]:
        return [each for each in self.browser.find_elements("css selector", selector) if each.is_displayed()]

    def find(self, selector: str) -> Any:
        """The first element that can be seen, as soon as there is one."""
        return self.wait(lambda: self.find_all(selector), f"something at {selector}")[0]

    def click(self, selector: str) -> None:
        self.wait(lambda: [self.find(selector).click()], f"something to click at {selector}")

    def click_named(self, selector: str, text: str) -> None:
        """Clicks on the one with this text."""
        def click() -> bool:
            named = [each for each in self.find_all(selector) if each.text.strip() == text]
            for each in named:
                each.click()
            return bool(named)

        self.wait(click, f"{text!r} to click at {selector}")

    def read(self, selector: str) -> str:
        """The text that can be seen in all such elements."""
        return self.browser.execute_script(_READ_SEEN, selector)

    def await_text(self, selector: str, *texts: str) -> str:
        """Waits until all of these texts can be seen at a place, and gives all that is seen there."""
        def is_there() -> str:
            seen = self.read(selector)
            return seen if all(text in seen for text in texts) else ""

        return self.wait(is_there, f"{texts} at {selector}")

    def read_mathematics(self, selector: str) -> list[str]:
        """Each typeset formula at a place, as a screen reader would be told it."""
        return self.browser.execute_script(_READ_MATHEMATICS, selector)

    def list_pictures(self, selector: str) -> list[str]:
        """What each picture at a place shows, of those that are there and could be drawn."""
        return self.browser.execute_script(_LIST_PICTURES, selector)

    def open_folds(self, selector: str) -> int:
        """Clicks on every fold-out at a place, also on those within, and says on how many."""
        opened = 0
        while closed := self.find_all(f"{selector} details:not([open]) > summary"):
            self.wait(lambda closed=closed: [closed[0].click()], "a fold-out to open")
            opened += 1
        return opened

    def list_illegible(self, selector: str) -> list[str]:
        """What could not be read at a place: pale, tiny, cut off."""
        return self.browser.execute_script(_LEGIBILITY.read_text(), selector)

    def list_browser_errors(self) -> list[str]:
        """What the browser complained of since the last look."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


class ExplorerPanel(NotebookPage):
    """The explorer, in the first cell of a notebook."""

    def open_explorer(self, name: str, call: str = "matcalc.explore()") -> None:
        """Opens a notebook that imports matcalc and calls the explorer, runs it, and waits for the first answer."""
        self.open(name, f"import matcalc\n{call}")
        self.run_cell()
        self.await_text(ANSWER, "agrees")

    def enter(self, field: str, text: str) -> None:
        """Types a text into a field instead of what is there, and Enter."""
        self.click(f"{field} input")
        self.type_over(text)

    def type_over(self, text: str) -> None:
        """Types a text instead of what is in the field that has the focus, and Enter."""
        from selenium.webdriver.common.keys import Keys

        self.press("a", held=Keys.CONTROL)
        self.press(Keys.BACKSPACE, *text, Keys.ENTER)

    def choose_variable(self, name: str) -> None:
        """Chooses from the list of variables, by its first letter as a keyboard does."""
        from selenium.webdriver.common.keys import Keys

        self.click(f"{VARIABLE} select")
        self.press(name, Keys.ENTER)

    def choose_layout(self, name: str) -> None:
        self.click_named(f"{LAYOUT} button", name)

    def open_tab(self, title: str) -> None:
        self.click_named(f"{TABS} .lm-TabBar-tab", title)

    def edit_variable(self, name: str, column: str, text: str) -> None:
        """Types into the table of variables: the `column` is "shape" or "assumptions"."""
        place = ("shape", "assumptions").index(column)
        self._click_in_row(".matcalc-row", name, place)
        self.type_over(text)

    def choose_size(self, letter: str, size: int) -> None:
        """Types another size below the tab of the heat map."""
        self._click_in_row(f"{TABS} .widget-text", f"{letter} =", 0)
        self.type_over(str(size))

    def _click_in_row(self, rows: str, begin: str, place: int) -> None:
        """Clicks on one of the fields in the row that begins so."""
        def click() -> bool:
            found = [row for row in self.find_all(rows) if row.text.startswith(begin)]
            for row in found[:1]:
                row.find_elements("css selector", "input")[place].click()
            return bool(found)

        self.wait(click, f"a row of {begin!r} at {rows}")

    def read_shapes(self) -> dict[str, str]:
        """What stands in the table's column of shapes, by name."""
        return self.browser.execute_script(_READ_SHAPES)

    def read_tiles(self) -> list[str]:
        """The sizes on the tiles of the shape, from left to right as they stand on the page."""
        return self.browser.execute_script(_READ_TILES)
