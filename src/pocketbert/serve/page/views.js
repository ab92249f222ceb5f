// Answers as elements of a page; one view for each task, by its name. The page of a browser export has a copy of this file.

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

function bar({ label, share, type }, chosen) {
  const fill = element("span", { className: type ? "fill typed" : "fill" });
  fill.style.width = `${100 * share}%`;
  if (type) fill.style.setProperty("--hue", hue(type));
  return element(
    "li",
    { className: chosen ? "bar chosen" : "bar" },
    element("span", { className: "bar-name" }, label),
    element("span", { className: "track" }, fill),
    element("span", { className: "bar-value" }, percent(share)),
  );
}

function bars(answers, isChosen, others = "labels that are less likely") {
  const list = element("ol", { className: "bars" }, ...answers.slice(0, SHOWN).map((one, place) => bar(one, isChosen(one, place))));
  const more = answers.length - SHOWN;
  return more > 0 ? [list, element("p", { className: "quiet" }, `and ${more} ${others}`)] : [list];
}

/** A colour for a type: the same one wherever it occurs, on any page. */
function hue(type) {
  let hash = 7;
  for (const character of type) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function mark(value, { type, start, end, second }) {
  const made = element("mark", { className: second ? "second" : "" }, value.slice(start, end));
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

/** Words of a type, and how sure the model is of each, where that is known. */
function entities({ value, spans }) {
  if (!spans.length) return [marked(value, []), element("p", { className: "quiet" }, "No word is marked.")];
  const sure = spans.filter(({ share }) => share !== undefined);
  const named = sure.map((span) => ({ ...span, label: `${value.slice(span.start, span.end)} · ${span.type.replaceAll("_", " ")}` }));
  return [marked(value, spans), ...(sure.length ? bars(named, () => false, "more") : [])];
}

/** The best answer, where all of them stand in the text, and how likely each is, where that is known. */
function spanAnswer({ context, spans, none, shares }) {
  const found = none ? "The text has no answer." : context.slice(spans[0]?.start, spans[0]?.end).trim() || "No words found.";
  const placed = spans.map((span, place) => ({ ...span, type: "", second: none || place > 0 }));
  return [
    element("p", { className: "found" }, found),
    marked(context, placed.sort((a, b) => a.start - b.start)),
    ...(shares ? bars(shares, (_, place) => place === 0) : []),
  ];
}

/** Words for each gap; with several gaps each has a heading. */
function gapGuesses({ gaps, missing }) {
  if (!gaps.length) return [element("p", {}, `Put ${missing} where a word is hidden.`)];
  return gaps.flatMap((guesses, gap) => [
    ...(gaps.length > 1 ? [element("h3", {}, `Hidden word ${gap + 1}`)] : []),
    ...bars(guesses, (_, place) => place === 0),
  ]);
}

/** The cosine of two vectors. */
function cosine(first, second) {
  const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
  return dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
}

function shaded(value) {
  const cell = element("td", {}, value.toFixed(3));
  cell.style.setProperty("--share", `${Math.round(45 * Math.max(0, value))}%`);
  return cell;
}

/** How alike texts are: a number for two, a table for more. */
function similarities(vectors) {
  if (vectors.length === 2) return number(cosine(...vectors).toFixed(3), "cosine of both texts: 1 is alike, 0 is unlike");
  const head = (place) => element("th", { scope: "col" }, `Text ${place + 1}`);
  const row = (vector, place) =>
    element("tr", {}, element("th", { scope: "row" }, `Text ${place + 1}`), ...vectors.map((other) => shaded(cosine(vector, other))));
  const table = element(
    "table",
    { className: "cosines" },
    element("thead", {}, element("tr", {}, element("td"), ...vectors.map((_, place) => head(place)))),
    element("tbody", {}, ...vectors.map(row)),
  );
  return [element("div", { className: "scroll" }, table), element("p", { className: "quiet" }, "cosines: 1 is alike, 0 is unlike")];
}

export const VIEWS = {
  classification: (answers) => bars(answers, (_, place) => place === 0),
  multi_label: (answers) => bars(answers, ({ share }) => share >= 0.5),
  zero_shot: ({ answers, several }) => (several ? VIEWS.multi_label : VIEWS.classification)(answers),
  regression: (answer) => number(answer.toFixed(3), "the model's number"),
  token_classification: entities,
  question_answering: spanAnswer,
  masked_lm: gapGuesses,
  embedding: similarities,
};
