// How long an answer took, what gave it, and what of the text was not read.

import { element } from "./views.js";

const ENGINES = { onnxruntime: "ONNX Runtime", openvino: "OpenVINO", "onnxruntime-web": "ONNX Runtime Web" };
const NAMES = { total: "In the server", queue: "Queue", tokenising: "Tokenising", inference: "Inference" };

function duration(milliseconds) {
  if (milliseconds === 0) return "<\u00a01\u00a0ms"; // headers may have whole ones only
  return `${Number(milliseconds.toFixed(milliseconds < 1 ? 2 : 1))}\u00a0ms`;
}

/** Terms and values: the time until the answer was here, and what it was spent on. */
export function timeFigures(whole, milliseconds, parts = {}) {
  const shown = Object.entries(parts).filter(([key, value]) => key in NAMES && Number.isFinite(value));
  const rows = [[whole, milliseconds], ...shown.map(([key, value]) => [NAMES[key], value])];
  return rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, duration(value))));
}

/** Which engine and file answered, and how many tokens it read. */
export function engineWords({ engine, file, precision }, tokens) {
  const read = tokens === null ? [] : [`${tokens} tokens`];
  return [ENGINES[engine] ?? engine, precision, file, ...read].join(" · ");
}

/** A notice where something was cut; nothing else. */
export function cutNotice(words) {
  return element("p", { className: "notice cut" }, words);
}
