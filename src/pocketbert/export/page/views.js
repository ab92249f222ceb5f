// Answers as elements of the page; one view for each task, by its name.

const SHOWN = 10;

/** An element with attributes and children; texts become text nodes, so nothing that a user types is markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** Bytes by powers of 1000, as file managers and servers count them. */
export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)}\u00a0kB` : `${(bytes / 1e6).toFixed(1)}\u00a0MB`;
}

function bar({ label, share }, chosen) {
  const fill = element("span", { className: "fill" });
  fill.style.width = `${100 * share}%`;
  return element(
    "li",
    { className: chosen ? "bar chosen" : "bar" },
    element("span", { className: "bar-name" }, label),
    element("span", { className: "track" }, fill),
    element("span", { className: "bar-value" }, percent(share)),
  );
}

function bars(answers, isChosen) {
  const list = element("ol", { className: "bars" }, ...answers.slice(0, SHOWN).map((one, place) => bar(one, isChosen(one, place))));
  const more = answers.length - SHOWN;
  return more > 0 ? [list, element("p", { className: "quiet" }, `and ${more} labels that are less likely`)] : [list];
}

/** A colour for a type: the same one wherever it occurs, on any page. */
function hue(type) {
  let hash = 7;
  for (const character of type) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function mark(value, { type, start, end }) {
  const made = element("mark", {}, value.slice(start, end));
  if (!type) return made;
  made.style.setProperty("--hue", hue(type));
  made.append(element("span", { className: "type" }, type.replaceAll("_", " ")));
  return made;
}

/** A text with some of its spans marked. */
function marked(value, spans) {
  const parts = [];
  let at = 0;
  for (const span of spans) {
    parts.push(value.slice(at, span.start), mark(value, span));
    at = span.end;
  }
  return element("p", { className: "marked" }, ...parts, value.slice(at));
}

function number(value, meaning) {
  return [element("p", { className: "number" }, value), element("p", { className: "quiet" }, meaning)];
}

function spanAnswer({ context, start, end, none }) {
  if (none) return [element("p", { className: "found" }, "The text has no answer.")];
  const found = context.slice(start, end).trim();
  return [element("p", { className: "found" }, found || "No words found."), marked(context, [{ type: "", start, end }])];
}

export const VIEWS = {
  classification: (answers) => bars(answers, (_, place) => place === 0),
  multi_label: (answers) => bars(answers, ({ share }) => share >= 0.5),
  regression: (answer) => number(answer.toFixed(3), "the model's number"),
  token_classification: ({ value, spans }) =>
    spans.length ? [marked(value, spans)] : [marked(value, []), element("p", { className: "quiet" }, "No word is marked.")],
  question_answering: spanAnswer,
  masked_lm: ({ guesses, missing }) =>
    guesses ? bars(guesses, (_, place) => place === 0) : [element("p", {}, `Put ${missing} where a word is hidden.`)],
  embedding: (answer) => number(answer.toFixed(3), "cosine of both texts: 1 is alike, 0 is unlike"),
};
