// Hold the files of this folder against the logits that Python gave: open index.html?check=1.

import { element, megabytes } from "./views.js";

const ROUNDS = 30;
const WARM_UP = 10; // rounds in which the browser still compiles
const find = (id) => document.getElementById(id);
const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Largest difference of a text's outputs; golden values may be every so many of the output's. */
function difference(outputs, golden) {
  let most = 0;
  for (const [name, { values, every, size }] of Object.entries(golden.outputs)) {
    const { data } = outputs[name];
    // An output of another size is another answer, and so is one that is not a number.
    if (data.length !== size) return Infinity;
    values.forEach((value, index) => {
      const apart = Math.abs(data[index * every] - value);
      most = apart <= most ? most : Number.isNaN(apart) ? Infinity : apart;
    });
  }
  return most;
}

function sameIds(ids, golden) {
  return ids.length === golden.input_ids.length && ids.every((id, index) => id === golden.input_ids[index]);
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function read(page, golden) {
  return page.task.read(page.tokenizer, page.info, golden.pair === null ? [golden.text] : [golden.text, golden.pair]);
}

/** One file against all golden texts. */
async function checkFile(page, precision, goldens) {
  const model = await page.loadModel(page.info, precision);
  const { limit, bytes } = page.info.precisions[precision];
  const found = { precision, bytes, texts: goldens.length, same_ids: 0, difference: 0, limit, worst: "", model };
  for (const golden of goldens) {
    const inputs = read(page, golden);
    const { outputs } = await page.run(model, inputs);
    found.seconds ??= performance.now() / 1000;
    found.same_ids += sameIds(inputs.ids, golden);
    const apart = difference(outputs, golden);
    if (apart > found.difference) Object.assign(found, { difference: apart, worst: String(golden.text) });
  }
  const scale = largest(goldens.flatMap(({ outputs }) => Object.values(outputs).flatMap(({ values }) => values)));
  found.share = found.difference / scale;
  found.within = found.share <= limit && found.same_ids === found.texts;
  return found;
}

/** Median milliseconds of each file on the golden text of middle length; the files take turns. */
async function time(page, rows, goldens) {
  const ordered = goldens.toSorted((a, b) => a.input_ids.length - b.input_ids.length);
  const inputs = read(page, ordered[Math.floor(ordered.length / 2)]);
  const times = rows.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { model }] of rows.entries()) times[index].push((await page.run(model, inputs)).milliseconds);
  }
  rows.forEach((row, index) => Object.assign(row, { milliseconds: median(times[index].slice(WARM_UP)), tokens: inputs.ids.length }));
}

const short = (value) => (value < 0.001 ? value.toExponential(1) : value.toPrecision(2)).replace("-", "\u2011");

function table(rows) {
  const heads = ["file", "largest difference", "share of the largest logit", "same tokens", `ms, ${rows[0].tokens} tokens`];
  const cells = (row) => [
    row.precision,
    short(row.difference),
    `${short(100 * row.share)}\u00a0%, ${row.share <= row.limit ? "within" : "breaches"} ${100 * row.limit}\u00a0%`,
    `${row.same_ids} of ${row.texts}`,
    row.milliseconds.toFixed(1),
  ];
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row).map((cell) => element("td", {}, cell))))),
  );
}

/** Check every file, show a table, and leave the figures as JSON in the page for programs. */
export async function check(page) {
  const goldens = await (await fetch("golden.json")).json();
  const rows = [];
  for (const precision of Object.keys(page.info.precisions)) {
    page.say(`Checking ${precision} on ${goldens.length} texts.`);
    rows.push(await checkFile(page, precision, goldens));
  }
  await time(page, rows, goldens);
  page.say("");
  find("about").textContent = `The answers of this folder's files in this browser, against Python's on ${goldens.length} texts.`;
  show(page, rows.map(({ model, ...figures }) => figures));
}

function show(page, files) {
  const urls = performance.getEntriesByType("resource").map(({ name }) => name);
  const other_hosts = urls.filter((url) => new URL(url).origin !== location.origin);
  const worst = files.filter((file) => file.worst);
  find("check").append(
    element("div", { className: "scroll" }, table(files)),
    ...worst.map((file) => element("p", { className: "quiet" }, `${file.precision} differs most on: ${file.worst.slice(0, 200)}`)),
    element(
      "details",
      {},
      element("summary", {}, "As JSON"),
      element("pre", { id: "result" }, JSON.stringify({ files, offline: page.offline, other_hosts }, null, 1)),
    ),
  );
  find("check").hidden = false;
}
