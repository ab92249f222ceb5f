// What each task reads from the form, and how its outputs become an answer.

import { align, assemble, encode, encodeWords } from "./text.js";

const LONGEST_ANSWER = 30; // tokens, as in the published SQuAD scripts
const GUESSES = 8;

const text = (label, rows = 3) => ({ label, rows });

function softmax(logits) {
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

function best(values) {
  return values.reduce((found, value, index) => (value > values[found] ? index : found), 0);
}

function row(output, index) {
  const width = output.dims.at(-1);
  return Array.from(output.data.subarray(index * width, (index + 1) * width));
}

function ranked(labels, shares) {
  return labels.map((label, index) => ({ label, share: shares[index] })).sort((a, b) => b.share - a.share);
}

function readTexts(tokenizer, info, values) {
  return assemble(info, values.map((value) => encode(tokenizer, value)));
}

/** Words as people write them: parted by spaces, with punctuation around a word as words of its own. */
export function splitWords(value) {
  const words = [];
  for (const match of value.matchAll(/[^\s\p{P}]+(?:\p{P}+[^\s\p{P}]+)*|\p{P}/gu)) {
    words.push({ word: match[0], start: match.index, end: match.index + match[0].length });
  }
  return words;
}

function readWords(tokenizer, info, [value]) {
  const words = Array.isArray(value) ? value.map((word) => ({ word })) : splitWords(value);
  const { ids, first } = encodeWords(tokenizer, words.map(({ word }) => word));
  const inputs = assemble(info, [ids]);
  const places = first.map((place) => (place < 0 || place >= inputs.kept[0] ? -1 : place + inputs.starts[0]));
  return { ...inputs, words, places, value };
}

/** Spans of neighbouring words with one type, from tags with prefixes (IOB2, IOBES) or without. */
export function spansOf(tags, words) {
  const prefixed = tags.every((tag) => tag === "O" || /^[BIES]-/.test(tag));
  const spans = [];
  tags.forEach((tag, index) => {
    const type = prefixed ? tag.slice(2) : tag;
    const last = spans.at(-1);
    const goesOn = last?.next === index && last.type === type && !(prefixed && "BS".includes(tag[0]));
    if (tag === "O") return;
    if (goesOn) Object.assign(last, { end: words[index].end, next: index + 1 });
    else spans.push({ type, start: words[index].start, end: words[index].end, next: index + 1 });
  });
  return spans;
}

function readQuestion(tokenizer, info, [question, context]) {
  const contextIds = encode(tokenizer, context);
  const inputs = assemble(info, [encode(tokenizer, question), contextIds], true);
  return { ...inputs, context, contextIds: contextIds.slice(0, inputs.kept[1]) };
}

/** Sums of start and end logit of all spans that are short enough, largest first. */
function rankSpans(starts, ends, from, count) {
  const spans = [];
  for (let first = from; first < from + count; first++) {
    for (let last = first; last < Math.min(first + LONGEST_ANSWER, from + count); last++) {
      spans.push({ first: first - from, last: last - from, score: starts[first] + ends[last] });
    }
  }
  return spans.sort((a, b) => b.score - a.score);
}

function answerSpan(outputs, inputs, info, tokenizer) {
  const [starts, ends] = [outputs.start_logits.data, outputs.end_logits.data];
  const [span] = rankSpans(starts, ends, inputs.starts[1], inputs.kept[1]);
  if (!span) return { context: inputs.context, spans: [], none: true };
  const places = align(tokenizer, info, inputs.contextIds, inputs.context);
  const [start, end] = [places[span.first][0], places[span.last][1]];
  const nothing = starts[0] + ends[0];
  const none = info.unanswerable && nothing > span.score;
  return { context: inputs.context, spans: none ? [] : [{ start, end }], none };
}

function readMasked(tokenizer, info, values) {
  const inputs = readTexts(tokenizer, info, values);
  const masks = inputs.ids.flatMap((id, place) => (id === tokenizer.mask_token_id ? [place] : []));
  return { ...inputs, masks };
}

function guessWord(logits, tokenizer) {
  const shares = softmax(logits);
  const order = shares.map((_, id) => id).sort((a, b) => shares[b] - shares[a]);
  return order.slice(0, GUESSES).map((id) => ({ label: tokenizer.decode([id]), share: shares[id] }));
}

/**
 * A task by its name in recipes.
 *
 * - `words`: what the page says about it.
 * - `fields`: the form's fields; a task of embeddings runs each alone, others all at once.
 * - `read`: values to inputs.
 * - `answer`: outputs to an answer that a view of the same name shows.
 */
export const TASKS = {
  classification: {
    words: (info) => `Chooses one of ${info.labels.length} labels.`,
    fields: (info) => (info.pair ? [text("First text"), text("Second text")] : [text("Text")]),
    read: readTexts,
    answer: (outputs, _, info) => ranked(info.labels, softmax(row(outputs.logits, 0))),
  },
  multi_label: {
    words: (info) => `Chooses any of ${info.labels.length} labels.`,
    fields: (info) => (info.pair ? [text("First text"), text("Second text")] : [text("Text")]),
    read: readTexts,
    answer: (outputs, _, info) => ranked(info.labels, row(outputs.logits, 0).map((logit) => 1 / (1 + Math.exp(-logit)))),
  },
  regression: {
    words: () => "Gives a number.",
    fields: (info) => (info.pair ? [text("First text"), text("Second text")] : [text("Text")]),
    read: readTexts,
    answer: (outputs) => outputs.logits.data[0],
  },
  token_classification: {
    words: () => "Marks words.",
    fields: () => [text("Text")],
    read: readWords,
    answer: (outputs, inputs, info) => {
      const tags = inputs.places.map((place) => (place < 0 ? "O" : info.labels[best(row(outputs.logits, place))]));
      return { value: inputs.value, spans: spansOf(tags, inputs.words) };
    },
  },
  question_answering: {
    words: () => "Finds the answer to a question in a text.",
    fields: () => [text("Question", 1), text("Text", 6)],
    read: readQuestion,
    answer: answerSpan,
  },
  masked_lm: {
    words: () => "Guesses a hidden word.",
    fields: () => [text("Text with a hidden word")],
    read: readMasked,
    answer: (outputs, inputs, _, tokenizer) => ({
      gaps: inputs.masks.map((place) => guessWord(row(outputs.logits, place), tokenizer)),
      missing: tokenizer.mask_token,
    }),
  },
  embedding: {
    words: () => "Says how alike two texts are.",
    fields: () => [text("First text"), text("Second text")],
    alone: true,
    read: readTexts,
    answer: (outputs) => outputs.map(({ sentence_embedding }) => sentence_embedding.data),
  },
};
