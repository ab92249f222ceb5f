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

/** The letters of each token; those of a character split over several tokens belong to the last of them. */
function surfaces(tokenizer, info, ids) {
  let held = [];
  return ids.map((id) => {
    held.push(id);
    const letters = tokenizer.decode(held, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    if (letters.includes("\uFFFD")) return "";
    held = [];
    return fold(info.tokenizer === "WordPiece" ? letters.replace(/^##/, "") : letters);
  });
}

/**
 * Where tokens stand in the text that they were made from.
 *
 * The library in the browser does not keep it. The letters of the tokens are found again in the text, one token after the
 * other; an unknown token gets what lies between its neighbours.
 *
 * @returns for each token the first character and one past the last.
 */
export function align(tokenizer, info, ids, text) {
  const { folded, places } = foldedPlaces(text);
  const spans = [];
  let at = 0;
  for (const letters of surfaces(tokenizer, info, ids)) {
    const found = letters ? folded.indexOf(letters, at) : -1;
    spans.push(found < 0 ? null : [places[found][0], places[found + letters.length - 1][1]]);
    if (found >= 0) at = found + letters.length;
  }
  return fillGaps(spans, text.length);
}

function fillGaps(spans, length) {
  return spans.map((span, index) => {
    if (span) return span;
    const before = spans.slice(0, index).findLast(Boolean);
    const after = spans.slice(index + 1).find(Boolean);
    return [before ? before[1] : 0, after ? after[0] : length];
  });
}
