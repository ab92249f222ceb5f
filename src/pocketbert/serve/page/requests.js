// What each task sends to the server, and how the reply becomes an answer that a view of the same name shows.

const GUESSES = 8;
const MOST_ANSWERS = 10;

const field = (label, rows = 3) => ({ label, rows });
const shares = (scores) => scores.map(({ label, score }) => ({ label, share: score }));

/** Places in a text as JavaScript counts (in UTF-16 units), by those as Python counts (in characters). */
export function places(text) {
  const found = [0];
  for (const character of text) found.push(found.at(-1) + character.length);
  return found;
}

/** One text, or two as a pair. */
function predict(model, values) {
  const inputs = values.length > 1 ? [values] : values[0];
  return { route: "predict", body: { inputs, model: model.name, truncate: true } };
}

/** The scores of the only text, whether it was sent alone or in a list. */
function predicted(reply) {
  return Array.isArray(reply[0]) ? reply[0] : reply;
}

function readEntities(reply, [value]) {
  const at = places(value);
  const spans = reply.map(({ entity_group, score, start, end }) => ({ type: entity_group, share: score, start: at[start], end: at[end] }));
  return { value, spans };
}

function readAnswers(reply, [, context]) {
  const answers = Array.isArray(reply) ? reply : [reply];
  const at = places(context);
  const given = answers.filter(({ answer }) => answer);
  return {
    context,
    spans: given.map(({ start, end }) => ({ start: at[start], end: at[end] })),
    none: !answers[0]?.answer,
    shares: answers.map(({ answer, score }) => ({ label: answer || "no answer", share: score })),
  };
}

function readGaps(reply) {
  const gaps = Array.isArray(reply[0]) ? reply : [reply];
  return { gaps: gaps.map((guesses) => guesses.map(({ token_str, score }) => ({ label: token_str, share: score }))) };
}

function readLabels(reply, _, { several }) {
  const scores = reply.labels ? reply.labels.map((label, place) => ({ label, score: reply.scores[place] })) : reply;
  return { answers: shares(scores), several };
}

/** Texts to start from, with the word in the middle of each hidden where none is. */
function hideWords({ examples, mask_token }) {
  return examples.map(([text]) => {
    const words = [...text.matchAll(/[\p{L}\p{N}]+/gu)];
    const { 0: word, index } = words[Math.floor(words.length / 2)] ?? { 0: "", index: 0 };
    return [text.includes(mask_token) ? text : text.slice(0, index) + mask_token + text.slice(index + word.length)];
  });
}

/** Texts to compare: those that belong together, else neighbours. */
function pairUp({ examples }) {
  if (examples.some((values) => values.length > 1)) return examples;
  return examples.slice(1).map((second, place) => [...examples[place], ...second]);
}

const labelsOf = (value) => [...new Set(value.split(/[,\n]/).map((label) => label.trim()).filter(Boolean))];
const hasTexts = (count) => (values) => values.filter((value) => value.trim()).length >= count;
const labelled = {
  fields: () => [field("Text")],
  more: { button: "Add a second text", label: () => "Second text", most: 2 },
  given: ([first, second]) => (second?.trim() ? [first, second] : [first]),
  ready: ([first]) => first.trim(),
  wants: "Type a text.",
  request: predict,
};

/**
 * A task by its name in `GET /models`; and `zero_shot`, which some models have besides.
 *
 * - `words`: what the page says about it.
 * - `fields`: of the form; `more` for one more text, where the task takes one; `options` that can be chosen.
 * - `examples`: to start from, where those of the model do not fit as they are.
 * - `given`: the values that count, where not all do.
 * - `ready`: whether the fields hold enough to ask; else the page says what it `wants`.
 * - `request`: values and options to a route and a body.
 * - `answer`: the reply to an answer.
 */
export const TASKS = {
  classification: {
    ...labelled,
    words: ({ labels }) => `Chooses one of ${labels.length} labels.`,
    answer: (reply) => shares(predicted(reply)),
  },
  multi_label: {
    ...labelled,
    words: ({ labels }) => `Chooses any of ${labels.length} labels.`,
    answer: (reply) => shares(predicted(reply)),
  },
  regression: { ...labelled, words: () => "Gives a number.", answer: (reply) => predicted(reply)[0].score },
  token_classification: {
    words: () => "Marks words.",
    fields: () => [field("Text")],
    ready: hasTexts(1),
    wants: "Type a text.",
    request: (model, [inputs]) => ({ route: "tokens", body: { inputs, model: model.name } }),
    answer: readEntities,
  },
  question_answering: {
    words: () => "Finds the answer to a question in a text.",
    fields: () => [field("Question", 1), field("Text", 6)],
    options: [
      { name: "count", label: "Answers", value: 3, most: MOST_ANSWERS },
      { name: "none", label: "There may be none", value: false },
    ],
    ready: hasTexts(2),
    wants: "Type a question, and a text that may answer it.",
    request: (model, [question, context], { count, none }) => ({
      route: "answer",
      body: { question, context, top_k: count, handle_impossible_answer: none, model: model.name },
    }),
    answer: readAnswers,
  },
  masked_lm: {
    words: () => "Guesses hidden words.",
    fields: ({ mask_token }) => [{ ...field("Text with a hidden word"), hide: mask_token }],
    examples: hideWords,
    ready: ([value], { mask_token }) => value.includes(mask_token),
    wants: ({ mask_token }) => `Type a text, with ${mask_token} where a word is hidden.`,
    request: (model, [inputs]) => ({ route: "fill-mask", body: { inputs, top_k: GUESSES, model: model.name } }),
    answer: readGaps,
  },
  embedding: {
    words: () => "Says how alike texts are.",
    fields: () => [field("Text 1", 2), field("Text 2", 2)],
    more: { button: "Add a text", label: (place) => `Text ${place}`, most: 8 },
    examples: pairUp,
    given: (values) => values.filter((value) => value.trim()),
    ready: hasTexts(2),
    wants: "Type two texts at least.",
    request: (model, inputs) => ({ route: "embed", body: { inputs, normalize: true, truncate: true, model: model.name } }),
    answer: (reply) => reply,
  },
  zero_shot: {
    words: () => "Chooses among labels of your own.",
    fields: () => [field("Text"), { ...field("Labels, with commas between", 1), value: "sport, politics, science" }],
    options: [
      { name: "template", label: "Sentence for a label", value: "This text is about {}." },
      { name: "several", label: "Several may fit", value: false },
    ],
    examples: ({ examples }) => examples.map(([text]) => [text]),
    ready: ([text, labels]) => text.trim() && labelsOf(labels).length,
    wants: "Type a text, and labels to choose among.",
    request: (model, [inputs, labels], { template, several }) => {
      const parameters = { candidate_labels: labelsOf(labels), hypothesis_template: template, multi_label: several };
      return { route: "zero-shot", body: { inputs, parameters, model: model.name } };
    },
    answer: readLabels,
  },
};
