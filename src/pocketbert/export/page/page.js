// The page: a form for the task of the model, and its answer while one types.

import { element, megabytes, VIEWS } from "./views.js";

const TYPING = 200; // milliseconds of rest before the model runs
const WAIT_FOR_OFFLINE = 3000; // milliseconds
const SETTLING = 8; // runs in which the browser still compiles; their time says nothing about the next text
const asked = new URLSearchParams(location.search);
const find = (id) => document.getElementById(id);

/** Let offline.js see every file from the first load on; where there is no such thing the page works online alone. */
async function keepOffline() {
  if (!("serviceWorker" in navigator)) return false;
  const { serviceWorker } = navigator;
  const changes = (options) => new Promise((done) => serviceWorker.addEventListener("controllerchange", () => done(true), options));
  if (serviceWorker.controller) changes().then(() => location.reload()); // a newer export took over
  const controlled = serviceWorker.controller ? Promise.resolve(true) : changes({ once: true });
  try {
    await serviceWorker.register("offline.js");
  } catch {
    return false;
  }
  return Promise.race([controlled, new Promise((done) => setTimeout(() => done(false), WAIT_FOR_OFFLINE))]);
}

/** Show what is going on; `embedded.js` tells it to the page around this one instead. */
function say(words, wrong = false) {
  find("status").textContent = words;
  find("status").hidden = !words;
  find("status").classList.toggle("wrong", wrong);
}

class Page {
  constructor(info, parts, offline) {
    Object.assign(this, parts, { info, offline });
    this.task = this.tasks[info.task];
    this.models = new Map();
    this.runs = new Map();
    this.turn = 0;
    this.precision = asked.get("precision") in info.precisions ? asked.get("precision") : Object.keys(info.precisions)[0];
  }

  build() {
    find("about").textContent = `${this.task.words(this.info)} It runs in this page; what you type stays on this device.`;
    this.fields = this.task.fields(this.info).map((field) => this.field(field));
    if (this.info.task === "masked_lm") find("fields").append(this.hideButton());
    this.info.examples.forEach((example) => find("examples").append(this.example(example)));
    find("precisions").append(...Object.keys(this.info.precisions).map((precision) => this.choice(precision)));
    find("form").addEventListener("submit", (event) => (event.preventDefault(), this.answer()));
    find("form").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.answer();
    });
    this.fill(this.info.examples[0] ?? []);
    find("form").hidden = false;
  }

  field({ label, rows }) {
    const input = element(rows > 1 ? "textarea" : "input", { rows, spellcheck: false, autocomplete: "off" });
    input.addEventListener("input", () => {
      clearTimeout(this.rest);
      this.rest = setTimeout(() => this.answer(), TYPING);
    });
    find("fields").append(element("label", {}, label, input));
    return input;
  }

  hideButton() {
    const button = element("button", { type: "button", className: "chip" }, "Hide a word here");
    button.addEventListener("click", () => {
      const [input] = this.fields;
      input.setRangeText(this.tokenizer.mask_token, input.selectionStart, input.selectionEnd, "end");
      input.focus();
      this.answer();
    });
    return button;
  }

  example(values) {
    const button = element("button", { type: "button", className: "chip", title: values.join(" · ") }, values.join(" · "));
    button.addEventListener("click", () => (this.fill(values), this.answer()));
    return button;
  }

  choice(precision) {
    const input = element("input", { type: "radio", name: "precision", value: precision, checked: precision === this.precision });
    input.addEventListener("change", () => ((this.precision = precision), this.answer()));
    return element("label", { className: "chip" }, input, `${precision} · ${megabytes(this.info.precisions[precision].bytes)}`);
  }

  fill(values) {
    this.fields.forEach((input, index) => (input.value = values[index] ?? ""));
  }

  model(precision) {
    if (!this.models.has(precision)) {
      this.say(`Loading the ${precision} file, ${megabytes(this.info.precisions[precision].bytes)}.`);
      const loading = this.loadModel(this.info, precision);
      loading.catch(() => this.models.delete(precision));
      this.models.set(precision, loading);
    }
    return this.models.get(precision);
  }

  /** Answer what stands in the form. */
  answer() {
    clearTimeout(this.rest);
    return this.give(this.fields.map((input) => input.value), (found) => this.show(found));
  }

  /** Give the answer to some values to `show`; of several turns only the latest is shown. */
  async give(values, show) {
    const turn = ++this.turn;
    try {
      do {
        const found = await this.ask(values, this.precision);
        if (turn === this.turn) show(found);
      } while (turn === this.turn && !this.settled());
    } catch (error) {
      if (turn === this.turn) this.say(explain(error), true);
    }
  }

  /** Whether the file in use has run often enough for its time to mean something. */
  settled() {
    const runs = (this.runs.get(this.precision) ?? 0) + 1;
    this.runs.set(this.precision, runs);
    return runs > SETTLING;
  }

  async ask(values, precision) {
    const model = await this.model(precision);
    const start = performance.now();
    const read = (some) => this.task.read(this.tokenizer, this.info, some);
    const inputs = this.task.alone ? values.map((value) => read([value])) : [read(values)];
    const outputs = [];
    for (const one of inputs) outputs.push((await this.run(model, one)).outputs);
    const answer = this.task.alone
      ? this.task.answer(outputs)
      : this.task.answer(outputs[0], inputs[0], this.info, this.tokenizer);
    return { answer, inputs, milliseconds: performance.now() - start };
  }

  show({ answer, inputs, milliseconds }) {
    this.first ??= performance.now();
    this.say("");
    find("answer").replaceChildren(...VIEWS[this.info.task](answer), ...this.cuts(inputs));
    find("answer").hidden = false;
    const tokens = inputs.reduce((sum, { ids }) => sum + ids.length, 0);
    find("timing").textContent =
      `${tokens} tokens in ${milliseconds.toFixed(1)} ms, ${this.precision}. ` +
      `First answer ${(this.first / 1000).toFixed(2)} s after the page was opened.`;
    this.tellDownloads();
  }

  cuts(inputs) {
    const cut = inputs.filter(({ ids, all }) => all > ids.length);
    return cut.map(({ ids, all }) =>
      element("p", { className: "notice" }, `${ids.length} of ${all} tokens were read; what is longer is cut, as in training.`),
    );
  }

  tellDownloads() {
    const { runtime, downloads, precisions } = this.info;
    const total = downloads.runtime + downloads.page + downloads.tokenizer + precisions[this.precision].bytes;
    find("downloads").replaceChildren(
      `Downloaded once: ${megabytes(total)} = runtime ${megabytes(downloads.runtime)} + model ` +
        `${megabytes(precisions[this.precision].bytes)} + tokenizer ${megabytes(downloads.tokenizer)} + ` +
        `page\u00a0${megabytes(downloads.page)}. ` +
        (this.offline ? "From now on it works without a network. " : "") +
        Object.entries(runtime).map(([name, version]) => `${name} ${version}`).join(", ") + ". ",
      element("a", { href: "?check=1" }, "Check the answers against Python"),
    );
  }
}

function explain(error) {
  if (error.name !== "ModelFileNotFoundError") return `It did not work: ${error.message ?? error}`;
  return "This file was not loaded before, and the server cannot be reached or does not have it.";
}

async function open() {
  const outer = asked.has("embedded") ? await import("./embedded.js") : { say };
  try {
    const offline = await keepOffline();
    const info = await (await fetch("pocketbert.json")).json();
    const { download } = Object.values(info.precisions)[0];
    outer.say(`Loading ${megabytes(download)}.`);
    const [{ loadModel, loadTokenizer, run }, { TASKS: tasks }] = await Promise.all([import("./student.js"), import("./tasks.js")]);
    const page = new Page(info, { tasks, loadModel, run, say: outer.say }, offline);
    if (asked.has("check")) {
      page.tokenizer = await loadTokenizer();
      return (await import("./check.js")).check(page);
    }
    page.model(page.precision);
    page.tokenizer = await loadTokenizer();
    if (asked.has("embedded")) return outer.listen(page);
    page.build();
    return page.answer();
  } catch (error) {
    outer.say(explain(error), true);
    throw error;
  }
}

open();
