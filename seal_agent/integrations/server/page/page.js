// The page of a server: text of models and passages enters the document as text only, never as markup.
"use strict";

const get = (id) => document.getElementById(id);
let key = "", base = "", job = null;

const make = (tag, text = "", attributes = {}) => {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const call = async (path, body) => {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw Object.assign(new Error(said?.error?.message ?? `the server answered ${answer.status}`), { status: answer.status });
  }
  return answer;
};

const json = async (path, body) => (await call(path, body)).json();

const trying = (work) => async (...values) => {
  get("error").textContent = "";
  try { await work(...values); } catch (error) { get("error").textContent = error.message; }
};

async function* events(answer) {
  let rest = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice(6));
  }
}

const write = async (place, model, question) => {
  place.textContent = "";
  place.setAttribute("aria-busy", "true");
  try {
    const messages = [{ role: "user", content: question }];
    const answer = await call("v1/chat/completions", { model, messages, stream: true, max_tokens: 64 });
    for await (const chunk of events(answer)) {
      if (chunk.error) throw new Error(chunk.error.message);
      place.textContent += chunk.choices[0]?.delta?.content ?? "";
    }
  } finally {
    place.setAttribute("aria-busy", "false");
  }
};

const refresh = async () => {
  const models = (await json("v1/models")).data;
  base = models[0].id;
  get("about").textContent = `${base} and ${models.length - 1 || "no"} adapter${models.length === 2 ? "" : "s"}`;
  const chosen = get("model").value;
  get("model").replaceChildren(...models.map((model) => make("option", model.id, { value: model.id })));
  get("model").value = models.some((model) => model.id === chosen) ? chosen : models.at(-1).id;
  const adapters = await json("v1/adapters").catch((error) => {
    if ([401, 403, 404].includes(error.status)) return null;
    throw error;
  });
  get("learning").hidden = get("known").hidden = adapters === null;
  get("locked").hidden = adapters !== null;
  if (adapters) await showRevisions(adapters.data);
};

const button = (text, label, work, kind = "") => {
  const made = make("button", text, { type: "button", class: `quiet ${kind}`, "aria-label": label });
  made.addEventListener("click", trying(work));
  return made;
};

const filled = (tag, ...children) => {
  const element = make(tag);
  element.append(...children);
  return element;
};

const tableOf = (names, rows) => {
  const table = make("table", "", { role: "table" }), head = make("tr", "", { role: "row" });
  head.append(...names.map((name) => make("th", name, { scope: "col", role: "columnheader" })));
  table.append(filled("thead", head), filled("tbody", ...rows));
  return table;
};

const cell = (content, label, kind = "") => {
  const made = make("td", "", { role: "cell", class: kind, ...(label && { "data-label": label }) });
  made.append(content);
  return made;
};

const rowOf = (name, id, about, state, actions) => {
  const row = make("tr", "", { role: "row" }), buttons = cell("", "", "actions");
  buttons.replaceChildren(...actions);
  const pill = make("span", state, { class: `pill ${state.replace(" ", "-")}` });
  row.append(cell(name, "adapter"), cell(make("span", id, { class: "id" }), "revision"), cell(about, "about"), cell(pill, "state"), buttons);
  return row;
};

const showRevisions = async (adapters) => {
  const rows = [], titles = new Set();
  for (const { name } of adapters) {
    const known = await json(`v1/adapters/${encodeURIComponent(name)}`);
    for (const revision of known.revisions.toReversed()) {
      if (revision.title) titles.add(revision.title);
      const state = revision.in_use ? "in use" : revision.status === "active" ? "rolled back" : revision.status;
      rows.push(rowOf(name, revision.id, revision.title || revision.text.slice(0, 60), state, actionsOf(name, revision)));
    }
    for (const gone of known.forgotten) rows.push(rowOf(name, gone.id, "", `forgotten ${gone.forgotten.slice(0, 10)}`, []));
  }
  get("topics").replaceChildren(...[...titles].map((title) => make("option", "", { value: title })));
  const empty = make("p", "Nothing has been learnt yet. Teach a text above.", { class: "dim" });
  get("revisions").replaceChildren(rows.length ? tableOf(["adapter", "revision", "about", "state", "actions"], rows) : empty);
};

const actionsOf = (name, revision) => {
  const path = `v1/adapters/${encodeURIComponent(name)}`;
  const actions = [button("Show", `Show ${revision.id}`, () => showProvenance(path, revision.id))];
  if (revision.in_use) actions.push(button("Roll back", `Roll back before ${revision.id}`, async () => {
    await json(`${path}/rollback`, { to: revision.parent ?? "base" });
    await refresh();
  }));
  actions.push(button("Forget", `Forget ${revision.id}`, async () => {
    if (!confirm(`Erase ${revision.id} for good? This cannot be undone.`)) return;
    get("provenance").hidden = true;
    await watch(name, await json(`${path}/forget`, { revision: revision.id }));
  }, "harm"));
  return actions;
};

const showProvenance = async (path, id) => {
  const revision = await json(`${path}/revisions/${encodeURIComponent(id)}`), losses = revision.training.epoch_losses;
  get("provenance-heading").textContent = `${revision.context.title || "Untitled text"}: ${revision.reason}`;
  const facts = [`revision ${id}`, `${revision.seconds} s`, `${revision.training.steps} steps`, `parent ${revision.parent ?? "the base model"}`];
  const left = filled("div", make("h4", "Text"), make("pre", revision.context.text, { tabindex: "0" }));
  left.append(make("h4", "Notes"), listOf(notesOf(revision)));
  const right = filled("div", make("h4", "Checks"), listOf(revision.checks.map((check) => [check.passed, `${check.name}: ${check.detail}`])));
  right.append(make("h4", `Loss per epoch: ${losses[0]?.toFixed(3)} → ${losses.at(-1)?.toFixed(3)}`), curveOf(losses));
  const halves = make("div", "", { class: "halves" });
  halves.append(left, right);
  get("provenance-body").replaceChildren(make("p", facts.join(" · "), { class: "dim" }), halves);
  if (revision.after.length) get("provenance-body").append(make("h4", "Questions before and after"), questionsOf(revision));
  get("provenance").hidden = false;
  get("provenance-heading").focus();
};

const questionsOf = (revision) => tableOf(["question", "before", "after"], revision.after.map((after, i) => {
  const row = make("tr", "", { role: "row" }), answers = [revision.before[i], after];
  row.append(cell(after.question.text), ...answers.map((answer) => cell(answer ? filled("span", markOf(isRight(answer)), answer.text) : "—")));
  return row;
}));

const isRight = (answer) => ({ correct: true, wrong: false })[answer.verdict] ?? null;

const markOf = (good) => make("span", { true: "✓", false: "✗" }[good] ?? "·", { class: `mark ${{ true: "good", false: "bad" }[good] ?? ""}` });

const notesOf = (revision) => revision.self_edits.flatMap((edit) => edit.checked ?? []).map((checked) =>
  [checked.kept, [checked.note.text, checked.note.answer, checked.reason && `(${checked.reason})`].filter(Boolean).join(" ")]);

const listOf = (lines) => {
  const list = make("ul", "", { class: "marks", tabindex: "0" });
  list.append(...(lines.length ? lines : [[null, "none"]]).map(([good, text]) => filled("li", markOf(good), text)));
  return list;
};

const drawn = (tag, attributes, text = "") => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const curveOf = (losses) => {
  const label = `Loss: ${losses.map((loss) => loss.toFixed(3)).join(", ")}`, most = Math.max(...losses, 1e-9);
  const points = losses.map((loss, i) => [30 + (i * 260) / Math.max(1, losses.length - 1), 84 - (loss / most) * 70]);
  const box = drawn("svg", { viewBox: "0 0 300 104", role: "img", "aria-label": label });
  for (const [y, value] of [[14, most], [84, 0]]) {
    box.append(drawn("line", { x1: 30, x2: 290, y1: y, y2: y }), drawn("text", { x: 24, y: y + 4, "text-anchor": "end" }, value.toFixed(1)));
  }
  box.append(drawn("text", { x: 290, y: 100, "text-anchor": "end" }, `epoch ${losses.length}`), drawn("text", { x: 30, y: 100 }, "1"));
  box.append(drawn("polyline", { points: points.map((point) => point.join(",")).join(" ") }));
  box.append(...points.map(([x, y]) => drawn("circle", { cx: x, cy: y, r: 3 })));
  return box;
};

const watch = async (name, begun) => {
  const path = `v1/adapters/${encodeURIComponent(name)}/jobs/${begun.id}`;
  job = path;
  get("job").hidden = get("cancel").hidden = false;
  for await (const state of events(await call(`${path}/events`))) await showJob(path, state);
  get("cancel").hidden = true;
  await refresh();
  if (begun.kind === "adapt" && [...get("model").options].some((option) => option.value === name)) {
    get("model").value = name;
    get("topic").value = get("title").value;
  }
};

const showJob = async (path, state) => {
  const stage = state.stage && !state.ended ? `: ${state.stage} ${state.done}/${state.total}` : "";
  const what = state.state === "asking" ? "learnt; it waits for your approval" : `${state.status ?? state.state}${stage}`;
  get("job-state").textContent = `${what}${state.detail && `: ${state.detail}`}`;
  get("job-bar").hidden = Boolean(state.ended) || state.state === "asking";
  get("job-bar").max = state.total || 1;
  get("job-bar").value = state.ended ? state.total || 1 : state.done;
  get("approval").hidden = state.state !== "asking";
  if (state.state === "asking") get("notes").replaceChildren(...listOf(notesOf((await json(path)).candidate)).children);
};

const answerJob = (approve) => trying(async () => { await json(`${job}/approve`, { approve }); });

get("keys").addEventListener("submit", trying(async (event) => {
  event.preventDefault();
  key = get("key").value.trim();
  await refresh();
}));
get("ask").addEventListener("submit", trying(async (event) => {
  event.preventDefault();
  const model = get("model").value, topic = get("topic").value.trim();
  const question = `${topic && `Topic: ${topic}\n`}${get("question").value}`;
  get("adapter-name").textContent = model;
  await Promise.all([write(get("answer"), model, question), write(get("base-answer"), base, question)]);
}));
get("learn").addEventListener("submit", trying(async (event) => {
  event.preventDefault();
  const name = get("name").value, body = { text: get("text").value, title: get("title").value, ask_before_use: true };
  await watch(name, await json(`v1/adapters/${encodeURIComponent(name)}/adapt`, body));
}));
get("cancel").addEventListener("click", trying(async () => { await json(`${job}/cancel`, {}); }));
get("approve").addEventListener("click", answerJob(true));
get("deny").addEventListener("click", answerJob(false));
get("text").addEventListener("dragover", (event) => {
  event.preventDefault();
  get("text").classList.add("over");
});
for (const end of ["dragleave", "drop"]) get("text").addEventListener(end, () => get("text").classList.remove("over"));
get("text").addEventListener("drop", trying(async (event) => {
  const file = event.dataTransfer.files[0];
  if (!file) return;
  event.preventDefault();
  get("text").value = await file.text();
}));
trying(refresh)();
