"""The ways of bulk.py: each loads a student and waits for lines that say how many of the texts to run.

Runs in the neighbours' own Python, so nothing here needs PocketBERT but its own way.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Run = Callable[[Sequence[str]], Any]

NEIGHBOURS: dict[str, tuple[str, float]] = {
    "sentence-transformers OpenVINO int8": ("sorted", 1.0),
    "sentence-transformers OpenVINO": ("sorted", 0.1),
    "sentence-transformers torch bf16": ("sorted", 0.05),
    "fastembed int8": ("first come", 0.02),
    "CTranslate2 int8": ("sorted", 0.05),
    "ONNX Runtime int8": ("first come", 0.02),
    "transformers pipeline bf16": ("first come", 0.02),
    "transformers pipeline BERT-base fp32": ("BERT-base", 0.02),
}
"""By name: how it makes batches (or which model it is), and the share of the texts that it is timed on."""

LONGEST = 512
BATCH = 32


def pocketbert(model: Path, threads: int) -> Run:
    """Ours."""
    import pocketbert

    pipeline = pocketbert.load(model, threads=threads, streams=threads, too_long="truncate")
    return lambda texts: pipeline(list(texts))


def sorted_int8(model: Path, threads: int) -> Run:
    """sentence-transformers with OpenVINO, quantized as its documentation says: the likely best of the neighbours."""
    from sentence_transformers import SentenceTransformer, export_static_quantized_openvino_model

    folder = _sentence_folder(model, "int8")
    name = "openvino_model_qint8_quantized.xml"
    if not (folder / "openvino" / name).is_file():
        plain = SentenceTransformer(str(folder), backend="openvino", device="cpu")
        rows = folder / "calibration"
        rows.mkdir(exist_ok=True)
        lines = [json.dumps({"sentence": text}) for text in _texts()[:300]]
        (rows / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
        export_static_quantized_openvino_model(plain, None, str(folder), str(rows), "default", "train", "sentence")
    return _sentences(folder, threads, backend="openvino", model_kwargs={"file_name": name})


def sorted_openvino(model: Path, threads: int) -> Run:
    """sentence-transformers with OpenVINO as it comes; it computes in bf16 where the processor has that."""
    return _sentences(_sentence_folder(model, "plain"), threads, backend="openvino")


def sorted_bf16(model: Path, threads: int) -> Run:
    """sentence-transformers with torch in bf16."""
    return _sentences(_sentence_folder(model, "plain"), threads, model_kwargs={"dtype": "bfloat16"})


def fastembed(model: Path, threads: int) -> Run:
    """fastembed, with our int8 file: its batches are first come."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="local/student",
        pooling=PoolingType.DISABLED,  # the file pools by itself
        normalization=True,
        sources=ModelSource(url="https://localhost"),
        dim=json.loads((model / "config.json").read_text(encoding="utf-8"))["dim"],
        model_file="onnx/model_quantized.onnx",
    )
    loaded = TextEmbedding("local/student", specific_model_path=str(model), threads=threads)
    return lambda texts: list(loaded.embed(texts, batch_size=BATCH))


def ctranslate2(model: Path, threads: int) -> Run:
    """CTranslate2 in int8, its batches sorted by length by us."""
    import ctranslate2
    import numpy as np
    import transformers  # noqa: F401 - its converter needs it and looks for it too late

    folder = _scratch() / "ctranslate2"
    if not folder.is_dir():
        ctranslate2.converters.TransformersConverter(str(_bare(model))).convert(str(folder), quantization="int8")
    encoder = ctranslate2.Encoder(str(folder), device="cpu", compute_type="int8", intra_threads=threads)
    tokenizer = _tokenizer(model)

    def run(texts: Sequence[str]) -> Any:
        found = sorted((each.ids for each in tokenizer.encode_batch(list(texts))), key=len)
        vectors = []
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            states = np.array(encoder.forward_batch(batch).last_hidden_state)  # (texts, tokens, width)
            mask = np.arange(states.shape[1]) < np.array([[len(ids)] for ids in batch])
            vectors.append((states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))
        return vectors

    return run


def plain_onnxruntime(model: Path, threads: int) -> Run:
    """ONNX Runtime by hand with our int8 file, batches of 32 as they come."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model / "onnx" / "model_quantized.onnx"), options)
    names = [each.name for each in session.get_inputs()]
    tokenizer = _tokenizer(model)
    tokenizer.enable_padding()

    def run(texts: Sequence[str]) -> Any:
        vectors = []
        for start in range(0, len(texts), BATCH):
            found = tokenizer.encode_batch(list(texts[start : start + BATCH]))
            feed = {
                "input_ids": np.array([each.ids for each in found]),
                "attention_mask": np.array([each.attention_mask for each in found]),
            }
            vectors.append(session.run(None, {name: feed[name] for name in names})[0])
        return vectors

    return run


def hf_bf16(model: Path, threads: int) -> Run:
    """The pipeline of transformers in bf16."""
    return _hf(_bare(model), threads, "bfloat16")


def hf_bert_base(model: Path, threads: int) -> Run:
    """The pipeline of transformers with BERT-base in fp32: what most people run."""
    return _hf(model, threads, "float32")


def _hf(model: Path, threads: int, dtype: str) -> Run:
    import torch
    from transformers import pipeline

    torch.set_num_threads(threads)
    loaded = pipeline("feature-extraction", model=str(model), device="cpu", dtype=getattr(torch, dtype), batch_size=8)
    cut = {"truncation": True, "max_length": LONGEST}
    return lambda texts: loaded(list(texts), return_tensors=True, tokenize_kwargs=cut)


def _sentences(folder: Path, threads: int, **options: Any) -> Run:
    """Batches of 32, sorted by length, padded to their longest."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    loaded = SentenceTransformer(str(folder), device="cpu", **options)
    loaded.max_seq_length = LONGEST
    return lambda texts: loaded.encode(
        list(texts), batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True
    )


def _sentence_folder(model: Path, name: str) -> Path:
    """The student as sentence-transformers saves it, with the same pooling."""
    from sentence_transformers import SentenceTransformer, models

    folder = _scratch() / f"sentences-{name}"
    if not (folder / "modules.json").is_file():
        words = models.Transformer(str(_bare(model)), max_seq_length=LONGEST)
        SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())]).save(str(folder))
    return folder


def _bare(model: Path) -> Path:
    """The model directory that the exported one was made from."""
    return model.parent / "model"


def _scratch() -> Path:
    folder = Path(sys.argv[3]).parent / f"neighbours-{Path(sys.argv[2]).parent.name}"
    folder.mkdir(exist_ok=True)
    return folder


def _tokenizer(model: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def _texts() -> list[str]:
    loaded: list[str] = json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
    return loaded


WAYS: dict[str, Callable[[Path, int], Run]] = {
    "pocketbert": pocketbert,
    "sentence-transformers OpenVINO int8": sorted_int8,
    "sentence-transformers OpenVINO": sorted_openvino,
    "sentence-transformers torch bf16": sorted_bf16,
    "fastembed int8": fastembed,
    "CTranslate2 int8": ctranslate2,
    "ONNX Runtime int8": plain_onnxruntime,
    "transformers pipeline bf16": hf_bf16,
    "transformers pipeline BERT-base fp32": hf_bert_base,
}


def main(name: str, model: str, _: str, threads: str) -> None:
    """Load a way, warm it up, and run as many of the texts as each line of the input says."""
    os.environ |= {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    texts = _texts()
    try:
        run = WAYS[name](Path(model), int(threads))
        run(texts[:64])
    except Exception as error:  # whatever a neighbour raises, the table says that it is missing and why
        _say({"error": f"{type(error).__name__}: {error}"[:300]})
        raise
    _say({})
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        run(texts[:count])
        seconds = time.perf_counter() - start
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        _say({"seconds": seconds, "memory": 1024 * int(peak)})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
