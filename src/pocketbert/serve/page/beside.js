// The same model in this browser: the page of its browser export runs in a frame that is not shown, and answers by messages.

import { cutNotice, engineWords, timeFigures } from "./figures.js";
import { element, megabytes, VIEWS } from "./views.js";

const PATIENCE = 20000; // milliseconds in which the frame has to say something
const find = (id) => document.getElementById(id);

export class Beside {
  constructor() {
    find("browser-start").addEventListener("click", () => this.start());
    addEventListener("message", ({ data, origin, source }) => {
      if (origin === location.origin && source === this.frame?.contentWindow) this.hear(data);
    });
  }

  /** Offer to run a model here, with what that downloads; what ran before is dropped. */
  async offer(model, able) {
    this.frame?.remove();
    clearTimeout(this.patience);
    Object.assign(this, { model, frame: null, ready: false, asked: null });
    find("browser").hidden = !model.browser || !able;
    find("browser-start").hidden = true;
    this.clear();
    this.say("");
    if (find("browser").hidden) return;
    this.url = new URL(model.browser.replace(/^\//, ""), document.baseURI).href;
    find("browser-page").href = this.url;
    const info = await this.describe();
    if (this.model !== model) return;
    if (!info) return this.say("The server does not give the files of the browser export.");
    const { download } = info.precisions[model.precision] ?? Object.values(info.precisions)[0];
    this.precisions = info.precisions;
    find("browser-start").textContent = `Run it here, too: ${megabytes(download)}, once`;
    find("browser-start").hidden = false;
  }

  /** What the export says about itself; null where it cannot be read. */
  async describe() {
    try {
      const response = await fetch(`${this.url}pocketbert.json`);
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  start() {
    find("browser").focus(); // the button that has it now goes
    find("browser-start").hidden = true;
    this.say("Loading.");
    this.frame = element("iframe", { src: `${this.url}?embedded=1&precision=${this.model.precision}`, title: "The model in this browser", hidden: true });
    this.patience = setTimeout(() => this.say("The browser export does not answer: export it again with this version of PocketBERT."), PATIENCE);
    document.body.append(this.frame);
  }

  /** Ask for the answer to some values, now or as soon as the model is there. */
  ask(task, values) {
    this.asked = { task, values, number: (this.asked?.number ?? 0) + 1 };
    if (this.ready) this.frame.contentWindow.postMessage({ number: this.asked.number, values }, location.origin);
  }

  hear(data) {
    clearTimeout(this.patience);
    if ("said" in data) this.say(data.said);
    if (data.ready) {
      this.ready = true;
      this.say("Ready.");
      if (this.asked) this.ask(this.asked.task, this.asked.values);
    }
    if (data.number === this.asked?.number) this.show(data);
  }

  show({ answer, lengths, milliseconds, precision }) {
    const cut = lengths.filter(({ read, all }) => all > read);
    const notices = cut.map(({ read, all }) => cutNotice(`${read} of ${all} tokens were read; what is longer was cut.`));
    const tokens = lengths.reduce((sum, { read }) => sum + read, 0);
    this.say("");
    find("browser-answer").replaceChildren(...VIEWS[this.asked.task](answer), ...notices);
    find("browser-timing").replaceChildren(...timeFigures("Tokenising and inference", milliseconds));
    find("browser-engine").textContent = engineWords({ engine: "onnxruntime-web", precision, file: this.precisions[precision].file }, tokens);
  }

  clear() {
    for (const id of ["browser-answer", "browser-timing", "browser-engine"]) find(id).replaceChildren();
  }

  say(words) {
    find("browser-status").textContent = words;
    find("browser-status").hidden = !words;
  }
}
