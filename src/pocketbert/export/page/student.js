// The student: a tokenizer and a session, from the files of this folder alone.

import { AutoModel, AutoTokenizer, Tensor, env } from "@huggingface/transformers";

env.allowRemoteModels = false;
env.allowLocalModels = true;
// offline.js keeps the files; a second copy of them would be waste.
env.useBrowserCache = false;
env.useWasmCache = false;
env.backends.onnx.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
// More threads need headers that a plain file server does not send, and made small students slower.
env.backends.onnx.wasm.numThreads = 1;

const HERE = ".";

export function loadTokenizer() {
  return AutoTokenizer.from_pretrained(HERE);
}

/** A session for one precision; AutoModel gives the outputs as the file names them, for every family and head. */
export function loadModel(info, precision) {
  return AutoModel.from_pretrained(HERE, { device: "wasm", dtype: info.precisions[precision].dtype });
}

function asTensor(values) {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
}

/**
 * Run the model on one text.
 *
 * @param inputs ids and token types, as by `assemble`.
 * @returns its outputs by name, each with `data` and `dims`, and the milliseconds it took.
 */
export async function run(model, inputs) {
  const start = performance.now();
  const outputs = await model({
    input_ids: asTensor(inputs.ids),
    attention_mask: asTensor(inputs.ids.map(() => 1)),
    token_type_ids: asTensor(inputs.types),
  });
  return { outputs, milliseconds: performance.now() - start };
}
