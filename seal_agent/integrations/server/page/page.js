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
  const messages = [{ role: "user", content: question }];
  const answer = await call("v1/chat/completions", { model, messages, stream: true, max_tokens: 64 });
  for await (const chunk of events(answer)) {
    if (chunk.error) throw new Error(chunk.error.message);
    place.textContent += chunk.choices[0]?.delta?.content ?? "";
  }
};

const refresh = async () => {
  const models = (await json("v1/models")).data;
  base = models[0].id;
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

const button = (text, label, work) => {
  const made = make("button", text, { type: "button", class: "quiet", "aria-label": label });
  made.addEventListener("click", trying(work));
  return made;
};

const showRevisions = async (adapters) => {
  const table = make("table"), head = make("tr");
  for (const name of ["adapter", "revision", "about", "state", ""]) head.append(make("th", name, { scope: "col" }));
  table.append(head);
  for (const { name } of adapters) {
    const known = await json(`v1/adapters/${encodeURIComponent(name)}`);
    for (const revision of known.revisions) table.append(rowOf(name, revision));
    for (const gone of known.forgotten) {
      const row = make("tr");
      row.append(make("td", name), make("td", gone.id), make("td", "forgotten"), make("td", gone.forgotten.slice(0, 10)), make("td"));
      table.append(row);
    }
  }
  const empty = make("p", "Nothing has been learnt yet.");
  const around = make("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Revisions" });
  around.append(table);
  get("revisions").replaceChildren(table.rows.length > 1 ? around : empty);
};

const rowOf = (name, revision) => {
  const row = make("tr"), actions = make("td"), path = `v1/adapters/${encodeURIComponent(name)}`;
  const state = revision.in_use ? "in use" : revision.status;
  row.append(make("td", name), make("td", revision.id), make("td", revision.title || revision.text.slice(0, 60)), make("td", state));
  actions.append(button("Show", `Show ${revision.id}`, () => showProvenance(path, revision.id)));
  if (revision.in_use) actions.append(button("Roll back", `Roll back before ${revision.id}`, async () => {
    await json(`${path}/rollback`, { to: revision.parent ?? "base" });
    await refresh();
  }));
  actions.append(button("Forget", `Forget ${revision.id}`, async () => {
    if (!confirm(`Erase ${revision.id} for good? This cannot be undone.`)) return;
    await watch(name, await json(`${path}/forget`, { revision: revision.id }));
  }));
  row.append(actions);
  return row;
};

const showProvenance = async (path, id) => {
  const revision = await json(`${path}/revisions/${encodeURIComponent(id)}`), body = get("provenance-body");
  get("provenance-heading").textContent = `${id}: ${revision.reason}`;
  const facts = [`${revision.seconds} s`, `${revision.training.steps} steps`, `parent ${revision.parent ?? "the base model"}`];
  body.replaceChildren(make("p", facts.join(" · ")), make("h3", "Text"), make("pre", revision.context.text, { tabindex: "0" }));
  body.append(make("h3", "Notes"), listOf(notesOf(revision)), make("h3", "Checks"));
  body.append(listOf(revision.checks.map((check) => `${{ true: "✓", false: "✗" }[check.passed] ?? "·"} ${check.name}: ${check.detail}`)));
  body.append(make("h3", "Questions before and after"), listOf(revision.after.map((after, i) =>
    `${after.question.text} — before: ${revision.before[i]?.text ?? "—"} — after: ${after.text} (${after.verdict})`)));
  const losses = revision.training.epoch_losses;
  body.append(make("h3", `Loss per epoch: ${losses[0]?.toFixed(3)} → ${losses.at(-1)?.toFixed(3)}`), curveOf(losses));
  get("provenance").hidden = false;
  get("provenance-heading").focus();
};

const notesOf = (revision) => revision.self_edits.flatMap((edit) => edit.checked ?? []).map((checked) =>
  `${checked.kept ? "✓" : "✗"} ${checked.note.text} ${checked.note.answer ?? ""} ${checked.reason}`);

const listOf = (lines) => {
  const list = make("ul");
  list.append(...(lines.length ? lines : ["none"]).map((line) => make("li", line)));
  return list;
};

const curveOf = (losses) => {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg"), most = Math.max(...losses, 1e-9);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const points = losses.map((loss, i) => `${4 + (i * 292) / Math.max(1, losses.length - 1)},${76 - (loss / most) * 70}`);
  line.setAttribute("points", points.join(" "));
  box.setAttribute("viewBox", "0 0 300 80");
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `Loss: ${losses.map((loss) => loss.toFixed(3)).join(", ")}`);
  box.append(line);
  return box;
};

const watch = async (name, begun) => {
  const path = `v1/adapters/${encodeURIComponent(name)}/jobs/${begun.id}`;
  job = path;
  get("job").hidden = get("cancel").hidden = false;
  for await (const state of events(await call(`${path}/events`))) await showJob(path, state);
  get("cancel").hidden = true;
  await refresh();
  if (begun.kind === "adapt" && [...get("model").options].some((option) => option.value === name)) get("model").value = name;
};

const showJob = async (path, state) => {
  const stage = state.stage && !state.ended ? `: ${state.stage} ${state.done}/${state.total}` : "";
  get("job-state").textContent = `${state.status ?? state.state}${stage}${state.detail && `: ${state.detail}`}`;
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
  const model = get("model").value, question = get("question").value;
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
get("text").addEventListener("dragover", (event) => event.preventDefault());
get("text").addEventListener("drop", trying(async (event) => {
  const file = event.dataTransfer.files[0];
  if (!file) return;
  event.preventDefault();
  get("text").value = await file.text();
}));
trying(refresh)();
