// Reads a page as accessible text and finds elements by their numbers. Injected before the page's own scripts.
(() => {
  const SKIPPED = new Set(["query", "reward-display", "sync-task-cover", "click-canvas"]);
  const ROLES = {
    A: "link", BUTTON: "button", TEXTAREA: "textbox", SELECT: "combobox",
    button: "button", submit: "button", reset: "button", image: "button",
    checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton",
  };
  const ACTIVE = "a, button, input, select, textarea, [role]";
  const elements = new Map();
  const numbers = new WeakMap();

  const clean = (text) => (text || "").replace(/\s+/g, " ").trim();

  function numberOf(element) {
    if (!numbers.has(element)) {
      numbers.set(element, elements.size + 1);
      elements.set(elements.size + 1, element);
    }
    return numbers.get(element);
  }

  function isShown(element) {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  }

  // Whether a click on the element itself does something; a listener of jQuery's may be for descendants only.
  function listensToClicks(element) {
    if (element.onclick || element.__onclick) return true; // d3 keeps its listeners in __onclick
    const events = window.jQuery && jQuery._data && jQuery._data(element, "events");
    return Boolean(events && events.click && [...events.click].some((listener) => !listener.selector));
  }

  function looksClickable(element) {
    const own = getComputedStyle(element).cursor === "pointer";
    return own && getComputedStyle(element.parentElement).cursor !== "pointer";
  }

  // The role of an element that can be acted on; "" for any other.
  function roleOf(element) {
    const given = element.getAttribute("role");
    if (["button", "link", "tab", "checkbox", "radio", "menuitem", "option"].includes(given)) return given;
    if (given === "presentation") return "";
    const tag = element.tagName;
    if (tag === "INPUT") return element.type === "hidden" ? "" : ROLES[element.type] || "textbox";
    if (ROLES[tag]) return ROLES[tag];
    if (tag === "LABEL" || element.id === "area" || element.id === "wrap" || element === document.body) return "";
    if (looksClickable(element)) return "item";
    return listensToClicks(element) && !element.querySelector(ACTIVE) ? "item" : "";
  }

  const isField = (element) => ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

  function nameOf(element) {
    const labels = element.labels ? [...element.labels].map((label) => label.textContent).join(" ") : "";
    const button = element.tagName === "INPUT" && ROLES[element.type] === "button" ? element.value : "";
    const text = isField(element) ? labels || element.placeholder : element.innerText || element.alt;
    // An icon has no name but its class; a class says little about a field.
    const fallback = element.title || (isField(element) ? "" : element.getAttribute("class") || element.id);
    return clean(element.getAttribute("aria-label") || button || text || fallback);
  }

  function entryOf(element, role) {
    const entry = { number: numberOf(element), role, name: nameOf(element) };
    if (role === "checkbox" || role === "radio") entry.checked = Boolean(element.checked);
    else if (role === "tab") entry.checked = element.getAttribute("aria-selected") === "true";
    else if (role === "combobox") {
      entry.value = element.selectedOptions.length ? clean(element.selectedOptions[0].text) : "";
      entry.options = [...element.options].map((option) => clean(option.text));
    } else if (isField(element) && role !== "button") entry.value = element.value;
    return entry;
  }

  // What separates one line of text from the next: a table's row, or the nearest element that is not inline.
  function blockOf(node) {
    const row = node.parentElement.closest("tr");
    if (row) return row;
    let element = node.parentElement;
    while (element !== document.body && getComputedStyle(element).display.startsWith("inline")) element = element.parentElement;
    return element;
  }

  function walk(element, within, entries) {
    if (SKIPPED.has(element.id) || !isShown(element)) return;
    const role = roleOf(element);
    if (role) entries.push(entryOf(element, role));
    if (isField(element)) return;
    const told = within || role || (element.tagName === "LABEL" && element.control);
    for (const child of element.childNodes) {
      if (child instanceof Element) walk(child, told, entries);
      else if (child instanceof Text && clean(child.data) && !told) {
        const last = entries[entries.length - 1], block = blockOf(child);
        if (last && last.block === block) last.text += " " + clean(child.data);
        else entries.push({ text: clean(child.data), block });
      }
    }
  }

  window.sealPage = {
    element: (number) => elements.get(Number(number)) || null,
    begin(seed) {
      if (window.jQuery) jQuery.fx.off = true; // nothing moves: the page is the same however fast it is read
      Math.seedrandom(seed);
      core.EPISODE_MAX_TIME = 24 * 60 * 60 * 1000; // models think longer than the page's ten seconds
      core.startEpisodeReal();
      return core.getUtterance();
    },
    async observe() {
      await new Promise((settled) => setTimeout(settled, 0));
      const entries = [];
      if (WOB_DONE_GLOBAL) core.cover_div.style.display = "none"; // a picture then shows the page, not its cover
      else walk(document.body, false, entries);
      return {
        entries: entries.map(({ block, ...entry }) => entry),
        done: WOB_DONE_GLOBAL,
        reward: WOB_RAW_REWARD_GLOBAL, // without the discount for time
      };
    },
  };
})();
