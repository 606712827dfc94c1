// The page to try a model: reads /info, takes inputs, asks /predict, and shows what it answers.

import { count, decodeFile, make, of, plural, writeBytes } from "./dom.js";
import { saveJson, saveTable } from "./downloads.js";
import { isTable, predictAll } from "./jobs.js";
import { ask, keepToken, listColumns, Problem } from "./requests.js";
import { show, showProblem } from "./results.js";

const AT_ONCE = 50; // results to show, until more are asked for
const FOLDED = 20; // classes from which their list is folded
const WIDE = 30; // letters of a cell of the card from which it is a text
const NAMED = 80; // letters of the names of classes in the first sentence

let info, base = "", chosen = [], results = [], running = null;

async function start() {
  try {
    await open();
  } catch (error) {
    showStart(error);
  }
}

function showStart(problem) {
  of("access").hidden = problem.status !== 401 && problem.status !== 403;
  if (of("access").hidden) {
    of("problem").replaceChildren(showProblem(problem, retry(() => location.reload())));
  } else {
    of("problem").replaceChildren(problem.wasGiven ? showProblem(problem) : "");
    of("token").focus();
  }
  of("app").setAttribute("aria-busy", "false");
}

/** Offer the models of the server, if it has several, and return the name of the one that the address asks for. */
async function listModels() {
  const one = error => { if (error.status === 404) return { models: [] }; throw error; };
  const models = (await ask("models").catch(one)).models.map(model => model.name);
  if (models.length < 2) return "";
  const asked = new URLSearchParams(location.search).get("model"), name = models.includes(asked) ? asked : models[0];
  of("model").replaceChildren(...models.map(own => make("option", { value: own, selected: own === name }, own)));
  of("models").hidden = false;
  of("model").onchange = () => { location.search = new URLSearchParams({ model: of("model").value }); };
  return name;
}

async function open() {
  info = await ask("info");
  const model = info.name ? await listModels() : ""; // a server that names its model may have several
  base = model && `models/${encodeURIComponent(model)}/`;
  if (model) info = await ask(`${base}info`);
  const name = (model || info.task) ?? info.name ?? "Model";
  of("title").textContent = name;
  document.title = `${name}: LightFit`;
  of("access").hidden = true;
  of("problem").replaceChildren();
  of("ask").hidden = of("empty").hidden = false;
  introduce();
  const typed = info.domain === "text";
  of("typing").hidden = !typed;
  of("drop").hidden = false;
  of("drop-title").textContent = {
    text: "Or drop a file of texts here, or click to choose one", images: "Drop images here, click to choose, or paste one",
    series: "Drop a table here, or click to choose one",
  }[info.domain] ?? "Drop files here, or click to choose";
  of("drop").classList.toggle("small", typed);
  of("drop-hint").textContent = {
    text: "A table (CSV, JSON, Parquet, Excel), or a text on each line", images: "JPEG, PNG, WebP and others",
  }[info.domain] ?? (info.domain === "series" ? `CSV, JSON, Parquet or Excel, with ${listColumns(info)}` : "");
  if (info.domain === "images") of("file").accept = "image/*,.heic,.heif,.avif,.tif,.tiff,.dcm";
  of("explaining").hidden = !info.explain;
  of("go").disabled = false;
  of("app").setAttribute("aria-busy", "false");
  await Promise.all([offerExamples(), tellAbout()]);
}

function introduce() {
  const names = info.classes ?? [], what = { text: "a text", images: "an image" }[info.domain] ?? "a file", kind = info.target?.kind;
  const some = listSome(names);
  of("lead").textContent = info.domain === "series" ? `Forecasts ${info.columns.targets.join(", ")}${info.horizon ? ` for the next ${plural(info.horizon, "step")}` : ""}, from a table of what was before.`
    : kind === "numbers" ? `Estimates ${info.target.names.join(", ")} from ${what}, with intervals.`
      : kind === "multi_label" ? `Finds which of ${plural(names.length, "label")} ${what} has, none to all of them${some}.`
        : names.length ? `Tells which of ${plural(names.length, "class", "classes")} ${what} belongs to${some}.`
          : "Predicts from files.";
}

/** Return the first names after a colon, as many as are read at a glance; nothing if already the first one is long. */
function listSome(names) {
  let some = 0;
  for (let letters = 0; some < names.length && letters + names[some].length <= NAMED; some++) letters += names[some].length + 2;
  if (!some) return "";
  return `: ${names.slice(0, some).join(", ")}${some < names.length ? ` and ${count(names.length - some)} more` : ""}`;
}

async function offerExamples() {
  if (!info.num_examples) return;
  const { examples } = await ask(`${base}examples`).catch(() => ({ examples: [] }));
  of("example-list").replaceChildren(...examples.map(example => make("li", {}, exampleButton(example))));
  of("example-list").className = `example-list of-${info.domain}`;
  of("examples").hidden = !examples.length;
}

function exampleButton(example) {
  const label = example.label === undefined ? null : make("span", { className: "small muted", dir: "auto" }, example.label || "no label");
  const button = make("button", { type: "button", className: "example" });
  if (example.text !== undefined) button.append(make("span", { className: "quote", dir: "auto" }, example.text));
  else if (example.type.startsWith("image/")) {
    button.append(make("img", { src: `data:${example.type};base64,${example.content}`, alt: example.label === undefined ? example.name : "" }));
  } else button.append(make("span", { dir: "auto" }, example.name));
  if (label) button.append(label);
  button.addEventListener("click", () => tryExample(example));
  return button;
}

function tryExample(example) {
  clearInput();
  if (example.text !== undefined) {
    of("text").value = example.text;
    of("lines").checked = false;
    listFiles();
    predict([{ text: example.text, example }]);
  } else {
    addFiles([decodeFile(example)], example);
    predict(chosen);
  }
}

async function tellAbout() {
  const facts = {
    task: info.task, net: info.net, "trained by": info.trained_by ? `LightFit ${info.trained_by}` : null, checkpoint: info.checkpoint,
    [info.target?.kind === "multi_label" ? "labels" : "classes"]: info.classes && listNames(info.classes),
    "looks back on": info.domain === "series" ? plural(info.input_shape[1], "step") : null,
    "gets images of": info.domain === "images" ? `${info.input_shape[3]} x ${info.input_shape[2]} pixels` : null,
  };
  of("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)]));
  of("version").textContent = `LightFit ${info.version}`;
  of("about").hidden = false;
  if (!info.card) return;
  // The server makes this HTML of Markdown, without any HTML of the card's own.
  of("card").innerHTML = await ask(`${base}card`, { text: true }).catch(() => "");
  of("card").querySelectorAll("pre").forEach(block => { block.tabIndex = 0; }); // it scrolls, by the keyboard too
  of("card").querySelectorAll("table").forEach((table, place) => {
    const box = make("div", { className: "scroll", role: "region", tabIndex: 0, ariaLabel: `Table ${place + 1} of the card` });
    table.replaceWith(box);
    box.append(table);
    table.dataset.filter = "no";
    for (const cell of table.querySelectorAll("td, th")) cell.classList.toggle("text", cell.textContent.length > WIDE);
    window.lightfitTables?.enhance(table);
  });
}

/** Return all names as a list, which is folded if it is long. */
function listNames(names) {
  const list = make("ul", { className: "names" }, ...names.map(name => make("li", { className: "badge", dir: "auto" }, name)));
  return names.length <= FOLDED ? list : make("details", {}, make("summary", {}, `All ${count(names.length)}`), list);
}

function addFiles(files, example) {
  if (files.length && (example || (info.domain === "text" && !of("text").value))) of("text").value = "";
  for (const file of files) {
    chosen.push({ file, example, preview: info.domain === "images" ? URL.createObjectURL(file) : undefined });
  }
  listFiles();
}

function listFiles() {
  of("files").replaceChildren(...chosen.map((input, place) => {
    const remove = make("button", { type: "button", className: "remove", ariaLabel: `Remove ${input.file.name}` }, "✕");
    remove.addEventListener("click", () => {
      chosen.splice(place, 1);
      listFiles();
      (of("files").querySelectorAll("button")[Math.min(place, chosen.length - 1)] ?? of("file")).focus();
    });
    const preview = input.preview ? make("img", { src: input.preview, alt: "" }) : null;
    preview?.addEventListener("error", () => preview.remove());
    return make("li", {}, preview, make("span", { className: "name", dir: "auto" }, input.file.name), make("span", { className: "small muted" }, writeBytes(input.file.size)), remove);
  }));
  of("files").hidden = !chosen.length;
  of("clear").hidden = !chosen.length && !of("text").value;
}

function clearInput() {
  chosen = [];
  of("text").value = "";
  of("file").value = "";
  listFiles();
}

/** Return the inputs of the form; a text and files may be given together. */
function readForm() {
  const text = of("text").value, lines = of("lines").checked ? text.split("\n") : [text];
  return [...(info.domain === "text" ? lines.filter(line => line.trim()).map(line => ({ text: line })) : []), ...chosen];
}

async function predict(inputs) {
  if (running) return;
  of("problem").replaceChildren();
  if (!inputs.length) {
    const words = { text: "Enter a text first, or choose a file.", images: "Choose an image first.", series: "Choose a table first." };
    of("problem").replaceChildren(showProblem(new Problem(words[info.domain] ?? "Choose a file first.")));
    (info.domain === "text" ? of("text") : of("file")).focus();
    return;
  }
  running = new AbortController();
  results = [];
  setBusy(true);
  const list = make("ol", { className: `results of-${info.domain}` }), began = performance.now();
  of("results").replaceChildren(list);
  try {
    await predictAll(info, inputs, {
      path: `${base}predict`, explain: of("explain").checked && !of("explaining").hidden, signal: running.signal,
      found: result => {
        results.push(result);
        if (results.length <= AT_ONCE) list.append(show(info, result));
        tellProgress(inputs, began);
      },
    });
    const bad = results.filter(({ problem }) => problem).length, seconds = ((performance.now() - began) / 1000).toFixed(1);
    of("status").textContent = `${plural(results.length - bad, "prediction")} in ${seconds} s${bad ? `; ${plural(bad, "input")} could not be predicted` : ""}.`;
  } catch (error) {
    if (error.name === "AbortError") of("status").textContent = `Cancelled${results.length ? ` after ${plural(results.length, "prediction")}` : ""}.`;
    else tellFailure(error, inputs);
  } finally {
    setBusy(false);
    running = null;
    offerMore(list);
    of("downloads").hidden = !results.length;
    of("empty").hidden = results.length > 0 || of("problem").childElementCount > 0;
    if (results.length && list.getBoundingClientRect().top > innerHeight * 0.8) of("results-title").scrollIntoView({ block: "start" });
  }
}

function tellProgress(inputs, began) {
  const seconds = Math.floor((performance.now() - began) / 1000);
  const part = inputs.length > 1 && !inputs.some(input => isTable(info, input)) ? `${count(results.length)} of ${count(inputs.length)}, ` : "";
  of("elapsed").textContent = seconds ? `${part}${seconds} s` : "";
}

function tellFailure(error, inputs) {
  if (!(error instanceof Problem)) throw error;
  of("status").textContent = "";
  if (error.status === 401 || error.status === 403) return showStart(error);
  const again = retry(() => predict(inputs));
  of("problem").replaceChildren(showProblem(error, again));
  if (error.retryAfter) countDown(again.firstChild, error.retryAfter);
}

function retry(action) {
  const button = make("button", { type: "button" }, "Try again");
  button.addEventListener("click", action);
  return make("p", {}, button);
}

/** Have a button wait for the seconds that a busy server asks for. */
function countDown(button, seconds) {
  const wait = () => {
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `Try again in ${plural(seconds, "second")}` : "Try again";
    if (seconds-- > 0 && button.isConnected) setTimeout(wait, 1000);
  };
  seconds = Math.min(Math.ceil(seconds), 60);
  wait();
}

let clock;
function setBusy(isBusy) {
  of("go").disabled = isBusy;
  of("go").textContent = isBusy ? "Predicting …" : "Predict";
  of("cancel").hidden = of("progress").hidden = !isBusy;
  of("results").setAttribute("aria-busy", isBusy);
  of("elapsed").textContent = "";
  clearInterval(clock);
  if (!isBusy) return;
  const began = performance.now();
  of("status").textContent = "Predicting …";
  of("empty").hidden = true;
  clock = setInterval(() => { of("elapsed").textContent = of("elapsed").textContent.replace(/(\d+ s)?$/, `${Math.round((performance.now() - began) / 1000)} s`); }, 1000);
}

function offerMore(list) {
  const waiting = results.slice(AT_ONCE);
  if (!waiting.length) return;
  const more = make("button", { type: "button", className: "more no-print" });
  const tell = () => { more.textContent = `Show ${count(Math.min(waiting.length, AT_ONCE))} more of ${count(results.length)}`; };
  more.addEventListener("click", () => {
    list.append(...waiting.splice(0, AT_ONCE).map(result => show(info, result)));
    if (waiting.length) tell();
    else more.remove();
  });
  tell();
  of("results").append(more);
}

of("form").addEventListener("submit", event => { event.preventDefault(); predict(readForm()); });
of("text").addEventListener("keydown", event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) of("form").requestSubmit(); });
of("text").addEventListener("input", listFiles);
of("cancel").addEventListener("click", () => { running?.abort(); of("go").focus(); });
of("clear").addEventListener("click", () => { clearInput(); (info.domain === "text" ? of("text") : of("file")).focus(); });
of("file").addEventListener("change", event => { addFiles(event.target.files); of("file").value = ""; });
for (const kind of ["dragover", "dragleave", "drop"]) {
  of("drop").addEventListener(kind, event => {
    event.preventDefault();
    of("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") addFiles(event.dataTransfer.files);
  });
}
addEventListener("paste", event => { if (info && event.clipboardData.files.length) addFiles(event.clipboardData.files); });
of("as-csv").addEventListener("click", () => saveTable(results, `${info.task ?? "lightfit"}-predictions`));
of("as-json").addEventListener("click", () => saveJson(results, `${info.task ?? "lightfit"}-predictions`));
of("access").addEventListener("submit", async event => {
  event.preventDefault();
  keepToken(of("token").value.trim());
  try {
    await open();
  } catch (error) {
    showStart(Object.assign(error, { wasGiven: true }));
  }
});
start();
