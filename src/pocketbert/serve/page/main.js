// The page of a server: a form for each task of its models, the answers, how long they took and what gave them.

import { Beside } from "./beside.js";
import { asCurl, fetchModels, Refusal, send, setKey } from "./client.js";
import { cutNotice, engineWords, timeFigures } from "./figures.js";
import { Form } from "./form.js";
import { TASKS } from "./requests.js";
import { element, VIEWS } from "./views.js";

const find = (id) => document.getElementById(id);

function say(words, wrong = false) {
  find("status").textContent = words;
  find("status").hidden = !words;
  find("status").classList.toggle("wrong", wrong);
}

class Page {
  constructor() {
    this.beside = new Beside();
    this.form = new Form(() => this.answer());
    find("model").addEventListener("change", () => {
      this.notice = "";
      this.choose(find("model").value);
    });
    find("again").addEventListener("click", () => this.open().then(() => this.goOn()));
    find("copy").addEventListener("click", () => copy());
    find("key").addEventListener("submit", (event) => {
      event.preventDefault();
      setKey(find("key-value").value);
      (this.models ? this.answer() : this.open()).then(() => this.goOn());
    });
  }

  /** Where a button that was pressed is gone, go on in the form. */
  goOn() {
    if (find("key").hidden && find("again").hidden) this.form.focus();
  }

  /** Ask which models there are, and show the one that the address names, or the first. */
  async open() {
    find("again").hidden = true;
    say("Asking the server for its models.");
    try {
      this.models = await fetchModels();
    } catch (error) {
      this.refused(error);
      find("again").hidden = error.status === 401;
      return;
    }
    find("key").hidden = true;
    find("model").replaceChildren(...this.models.map(({ name }) => element("option", { value: name }, name)));
    find("models").hidden = this.models.length < 2;
    const asked = new URLSearchParams(location.search).get("model");
    const known = this.models.some(({ name }) => name === asked);
    const name = known ? asked : this.models[0]?.name;
    this.notice = asked && !known ? `There is no model ${asked} here. This is ${name}.` : "";
    await this.choose(name);
  }

  choose(name) {
    this.model = this.models.find((model) => model.name === name);
    if (!this.model) return say("The server has no models.", true);
    find("model").value = name;
    find("name").textContent = this.models.length > 1 ? "PocketBERT" : name;
    document.title = `${name} · PocketBERT`;
    history.replaceState(null, "", this.models.length > 1 ? `?model=${encodeURIComponent(name)}` : location.pathname);
    this.offerTasks();
    return this.begin(this.model.task);
  }

  /** A model for entailment can take labels of one's own, too. */
  offerTasks() {
    const choices = this.model.zero_shot ? { [this.model.task]: "the model's", zero_shot: "my own" } : {};
    find("tasks").hidden = !this.model.zero_shot;
    find("tasks").replaceChildren(find("tasks").firstElementChild, ...Object.entries(choices).map(([task, words]) => this.choice(task, words)));
  }

  choice(task, words) {
    const input = element("input", { type: "radio", name: "task", value: task, checked: task === this.model.task });
    input.addEventListener("change", () => this.begin(task));
    return element("label", { className: "chip" }, input, words);
  }

  begin(task) {
    this.task = task;
    find("about").textContent = `${TASKS[task].words(this.model)} It runs on this server.`;
    this.empty();
    this.beside.offer(this.model, task === this.model.task);
    this.form.build(TASKS[task], this.model);
    return this.answer();
  }

  /** Answer what stands in the form: by the server, then by this browser, so that neither slows the other. */
  async answer() {
    this.running?.abort();
    const running = (this.running = new AbortController());
    const [task, values, options] = [TASKS[this.task], this.form.values(), this.form.chosen()];
    const wrong = this.form.wrong();
    if (wrong) {
      this.empty();
      return say(wrong, true);
    }
    if (!task.ready(values, this.model)) {
      this.empty();
      return say(typeof task.wants === "string" ? task.wants : task.wants(this.model));
    }
    const request = task.request(this.model, values, options);
    find("curl").textContent = asCurl(request);
    find("copy").textContent = "Copy";
    find("request").hidden = false;
    find("server").setAttribute("aria-busy", "true");
    try {
      const given = await send(request, running.signal);
      this.show(task.answer(given.reply, values, options), given);
    } catch (error) {
      if (error.name === "AbortError") return;
      find("server").hidden = true;
      this.refused(error);
    }
    find("server").removeAttribute("aria-busy");
    if (this.task === this.model.task) this.beside.ask(this.task, values);
  }

  show(answer, { milliseconds, times, tokens, truncated }) {
    say(this.notice); // beside the first answer
    this.notice = "";
    find("key").hidden = true;
    const cut = `A text is longer than the model takes (${this.model.max_length} tokens): its end was cut.`;
    find("answer").replaceChildren(...VIEWS[this.task](answer), ...(truncated === null ? [] : [cutNotice(cut)]));
    find("timing").replaceChildren(...timeFigures("Round trip", milliseconds, times));
    find("engine").textContent = engineWords(this.model, tokens);
    find("server").hidden = false;
  }

  empty() {
    this.beside.clear();
    find("server").hidden = find("request").hidden = true;
  }

  refused(error) {
    say(error.message, true);
    if (!(error instanceof Refusal)) throw error;
    find("key").hidden = error.status !== 401;
    if (error.status === 401) find("key-value").focus();
  }
}

/** Copy the command; where the browser lets no page do that, select it. */
async function copy() {
  try {
    await navigator.clipboard.writeText(find("curl").textContent);
    find("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(find("curl"));
    find("copy").textContent = "Selected: press Ctrl C";
  }
}

new Page().open();
