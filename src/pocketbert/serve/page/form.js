// The form of a task: its fields, one more text where the task takes one, its examples and options.

import { element } from "./views.js";

const TYPING = 250; // milliseconds of rest before the server is asked
const find = (id) => document.getElementById(id);

export class Form {
  /** @param ask called when the form is to be answered. */
  constructor(ask) {
    this.ask = ask;
    find("form").addEventListener("submit", (event) => (event.preventDefault(), this.now()));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || find("form").hidden) return;
      event.preventDefault(); // on the button it would ask once more
      find("form").requestSubmit(); // which points at a field that does not hold what it may
    });
  }

  /** Show the fields of a task, filled with the first example. */
  build(task, model) {
    Object.assign(this, { task, inputs: [], options: new Map() });
    const examples = task.examples?.(model) ?? model.examples;
    for (const id of ["fields", "more", "examples", "options"]) find(id).replaceChildren();
    task.fields(model).forEach((field) => this.add(field));
    const longest = Math.max(0, ...examples.map((values) => values.length));
    while (this.inputs.length < Math.min(longest, task.more?.most ?? 0)) this.addText();
    this.offerMore();
    find("examples").append(...examples.map((values) => this.example(values)));
    find("options").append(...(task.options ?? []).map((option) => this.option(option)));
    this.fill(examples[0] ?? []);
    find("form").hidden = false;
  }

  focus() {
    this.inputs?.[0].focus();
  }

  /** What stands in the fields, without those that are left empty where the task allows it. */
  values() {
    const all = this.inputs.map((input) => input.value);
    return this.task.given ? this.task.given(all) : all;
  }

  /** What is wrong with a field, in the words of the browser; empty where nothing is. */
  wrong() {
    const input = find("form").querySelector("input:invalid");
    return input ? `${input.labels[0].textContent}: ${input.validationMessage}` : "";
  }

  /** Options by name, as they are chosen. */
  chosen() {
    const read = ({ type, checked, value, valueAsNumber }) => (type === "checkbox" ? checked : type === "number" ? valueAsNumber : value);
    return Object.fromEntries([...this.options].map(([name, input]) => [name, read(input)]));
  }

  now() {
    clearTimeout(this.rest);
    return this.ask();
  }

  soon() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.ask(), TYPING);
  }

  add({ label, rows, value = "", hide }) {
    const input = element(rows > 1 ? "textarea" : "input", { rows, value, spellcheck: false, autocomplete: "off" });
    input.addEventListener("input", () => this.soon());
    this.inputs.push(input);
    find("fields").append(element("label", {}, label, input));
    if (hide) find("more").append(this.hideButton(input, hide));
    return input;
  }

  addText() {
    return this.add({ label: this.task.more.label(this.inputs.length + 1), rows: this.inputs[0].rows });
  }

  offerMore() {
    const { more } = this.task;
    if (!more || this.inputs.length >= more.most) return;
    const button = element("button", { type: "button", className: "chip" }, more.button);
    button.addEventListener("click", () => {
      const input = this.addText();
      button.remove();
      this.offerMore();
      input.focus();
    });
    find("more").append(button);
  }

  hideButton(input, mask) {
    const button = element("button", { type: "button", className: "chip" }, "Hide a word here");
    button.addEventListener("click", () => {
      input.setRangeText(mask, input.selectionStart, input.selectionEnd, "end");
      input.focus();
      this.now();
    });
    return button;
  }

  example(values) {
    const parts = values.flatMap((value, place) => [...(place ? [" · "] : []), element("span", {}, value)]);
    const button = element("button", { type: "button", className: "chip", title: values.join(" · ") }, ...parts);
    button.addEventListener("click", () => (this.fill(values), this.now()));
    return button;
  }

  option({ name, label, value, most }) {
    const kinds = { boolean: { type: "checkbox", checked: value }, number: { type: "number", min: 1, max: most, value, required: true }, string: { type: "text", value } };
    const input = element("input", kinds[typeof value]);
    input.addEventListener("input", () => this.soon());
    this.options.set(name, input);
    return element("label", { className: typeof value === "boolean" ? "chip" : "option" }, ...(input.type === "checkbox" ? [input, label] : [label, input]));
  }

  /** Put an example into the fields; what it says nothing about stays. */
  fill(values) {
    values.forEach((value, place) => this.inputs[place] && (this.inputs[place].value = value));
  }
}
