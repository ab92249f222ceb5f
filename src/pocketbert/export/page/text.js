// From a text to the ids that the model was trained on: the same ones as in Python, truncation included.

/** Ids of a text, without special tokens. */
export function encode(tokenizer, text) {
  return text ? tokenizer.encode(text, { add_special_tokens: false }) : [];
}

/** Ids of words one after another, and for each word where its first token stands; -1 where nothing of it is left. */
export function encodeWords(tokenizer, words) {
  const ids = [];
  const first = words.map((word) => {
    const found = encode(tokenizer, word);
    ids.push(...found);
    return found.length ? ids.length - found.length : -1;
  });
  return { ids, first };
}

/** How many tokens of a pair stay: the longer text loses first, then both in turn, as in the tokenizers library. */
function longestFirst([first, second], room) {
  const shorter = Math.min(first, second);
  let longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  let kept = shorter;
  if (kept + longer > room) {
    kept = Math.floor(room / 2);
    longer = kept + (room % 2);
  }
  return first > second ? [longer, kept] : [kept, longer];
}

function keptLengths(lengths, room, onlySecond) {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total <= room) return lengths;
  if (lengths.length === 1) return [room];
  return onlySecond ? [lengths[0], room - lengths[0]] : longestFirst(lengths, room);
}

/**
 * Put special tokens around one or two lists of ids, cut to the model's length.
 *
 * @param info what pocketbert.json says: `template` has the special tokens of a text and of a pair.
 * @param sequences one or two lists of ids.
 * @param onlySecond cut the second list alone, as for question and context.
 * @returns ids, token types, where each list starts, how many tokens of it stayed, and how many there were in all.
 */
export function assemble(info, sequences, onlySecond = false) {
  const template = info.template[sequences.length - 1];
  const special = template.filter((part) => "id" in part).length;
  const room = info.max_length - special;
  const kept = keptLengths(sequences.map((ids) => ids.length), room, onlySecond);
  if (kept.some((length) => length < 0)) throw new Error("The question alone is longer than what the model takes.");
  const result = { ids: [], types: [], starts: [], kept, all: special };
  for (const part of template) {
    const ids = "id" in part ? [part.id] : sequences[part.sequence].slice(0, kept[part.sequence]);
    if (!("id" in part)) {
      result.starts[part.sequence] = result.ids.length;
      result.all += sequences[part.sequence].length;
    }
    result.ids.push(...ids);
    result.types.push(...ids.map(() => part.type));
  }
  return result;
}

const MARKS = /\p{M}/gu;

/** What two spellings of the same letters have in common, whatever a tokenizer does to case and accents. */
function fold(text) {
  return text.normalize("NFKD").replace(MARKS, "").toLowerCase().replace(/\s/gu, "");
}

/** The folded text, and for each of its units the place in the text that it comes from. */
function foldedPlaces(text) {
  let folded = "";
  const places = [];
  let place = 0;
  for (const character of text) {
    const units = fold(character);
    folded += units;
    for (let unit = 0; unit < units.length; unit++) places.push([place, place + character.length]);
    place += character.length;
  }
  return { folded, places };
}

/** Where the letters of each token stand in a text; tokens that share a character share its place, too. */
function findLetters(tokenizer, info, ids, text) {
  const { folded, places } = foldedPlaces(text);
  const spans = [];
  let [at, held] = [0, []];
  for (const id of ids) {
    held.push(id);
    const letters = tokenizer.decode(held, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    if (letters.includes("\uFFFD")) continue; // bytes of a character that is not whole yet
    const wanted = fold(info.tokenizer === "WordPiece" ? letters.replace(/^##/, "") : letters);
    const found = wanted ? folded.indexOf(wanted, at) : -1;
    const span = found < 0 ? null : [places[found][0], places[found + wanted.length - 1][1]];
    spans.push(...held.map(() => span));
    if (span) at = found + wanted.length;
    held = [];
  }
  spans.push(...held.map(() => null));
  return fillGaps(spans, text.length);
}

/** Tokens that were not found get what lies between their neighbours. */
function fillGaps(spans, length) {
  return spans.map((span, index) => {
    if (span) return span;
    const before = spans.slice(0, index).findLast(Boolean);
    const after = spans.slice(index + 1).find(Boolean);
    return [before ? before[1] : 0, after ? after[0] : length];
  });
}

// What a tokenizer parts before it looks into its vocabulary: BERT's at spaces, punctuation and Chinese characters.
const PIECES = {
  WordPiece: /[\p{P}$+<=>^`|~]|\p{Script=Han}|[^\s\p{P}$+<=>^`|~\p{Script=Han}]+/gu,
  other: /\s*\S+|\s+$/gu,
};

/**
 * Where tokens stand in the text that they were made from.
 *
 * The library in the browser does not keep it. So the text is cut into pieces, the tokens of each piece are counted off,
 * and within a piece they are found by their letters; where the pieces do not give the tokens of the whole, by letters alone.
 *
 * @param ids the tokens of the text, or the first of them.
 * @returns for each token the first character and one past the last.
 */
export function align(tokenizer, info, ids, text) {
  const spans = [];
  for (const { 0: piece, index } of text.matchAll(PIECES[info.tokenizer] ?? PIECES.other)) {
    const own = encode(tokenizer, piece);
    const rest = ids.slice(spans.length, spans.length + own.length);
    if (rest.some((id, place) => id !== own[place])) return findLetters(tokenizer, info, ids, text);
    spans.push(...findLetters(tokenizer, info, own, piece).map(([start, end]) => [index + start, index + end]));
  }
  return spans.length < ids.length ? findLetters(tokenizer, info, ids, text) : spans.slice(0, ids.length);
}
