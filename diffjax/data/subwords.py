"""LM1B in pieces of words: TFDS's sentences, a SentencePiece vocabulary, packed.

    subwords.train_vocabulary("lm1b.model")

makes the vocabulary, once. The sentences are encoded the first time that a vocabulary
is used, beside TFDS's files, and read from there ever after.
"""

import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.data.dataset import Batch, DataSet, Source, of_sources
from diffjax.data.prepared import prepared

BLOCK = 10_000
"""Sentences encoded at a time."""
END = 1
"""The piece after every sentence."""


def lm1b(*, vocabulary: str, length: int = 128, data_dir: str | None = None) -> DataSet:
    r"""The One Billion Word Benchmark, its sentences one after the other.

        example i = pieces[i length : (i + 1) length] of all sentences and their ends

    Chelba et al. 2013 (arXiv:1312.3005); packed as in Austin et al. 2021
    (arXiv:2107.03006), appendix B.2.

    Args: vocabulary: file of `train_vocabulary`, or any of SentencePiece with at most
        65536 pieces, of which piece 1 ends a sentence.  length: of one example.
        data_dir: where TFDS keeps data; else $TFDS_DATA_DIR or its own default.
    Returns: DataSet of tokens [length]; its alphabet are the pieces.
    """
    builder, model = prepared("lm1b", data_dir), _model(vocabulary)
    mark = f"{Path(vocabulary).stem}-{zlib.crc32(model.serialized_model_proto()):08x}"

    def source(split: str) -> Source:
        path = Path(builder.data_dir) / f"packed-{mark}-{split}.u16"
        if not path.is_file():
            _pack(path, model, builder.as_data_source(split=split))
        return _windows(np.memmap(path, np.uint16, "r"), length)

    pieces = [model.id_to_piece(i) for i in range(model.get_piece_size())]
    shown = ["\n" if i == END else p.replace("▁", " ") for i, p in enumerate(pieces)]
    both = source("train"), source("test")
    return of_sources("lm1b", *both, levels=len(shown), alphabet=tuple(shown))


def train_vocabulary(
    path: str, *, K: int = 8192, sentences: int = 2**21, data_dir: str | None = None
) -> None:
    r"""Learn a vocabulary of pieces of words from the training sentences.

        K pieces: unknown, end of sentence, and what makes the text short

    Kudo & Richardson 2018 (SentencePiece, arXiv:1808.06226), unigram model.

    Args: path: of the file to write.  K: pieces.  sentences: the first so many are
        used.  data_dir: as for `lm1b`.
    Returns: nothing (no unit).
    """
    rows = prepared("lm1b", data_dir).as_data_source(split="train")
    model, trainer = io.BytesIO(), _sentencepiece().SentencePieceTrainer
    ids = {"unk_id": 0, "eos_id": END, "bos_id": -1, "pad_id": -1}
    texts = _texts(rows, min(sentences, len(rows)))
    options = {"sentence_iterator": texts, "model_writer": model, "minloglevel": 2}
    try:
        trainer.train(vocab_size=K, **ids, **options)
    except RuntimeError as error:
        raise ValueError(
            f"expected as many pieces as the sentences can fill, got K = {K}: {error}"
        ) from error
    Path(path).write_bytes(model.getvalue())


def tokens_per_word(data: DataSet) -> float:
    r"""How many pieces a word has, the end of a sentence counted as a word.

        perplexity per word = exp( nats per token * tokens per word )

    which is how LM1B is reported: Austin et al. 2021, table 3.

    Args: data: of `lm1b`, its test split is read.
    Returns: [] tokens per word.
    """
    starts = np.array([p.startswith((" ", "\n")) for p in data.alphabet])
    rows = range(0, data.test.num, BLOCK)
    read = (data.test.read(np.arange(i, min(i + BLOCK, data.test.num))) for i in rows)
    words, tokens = np.sum([(starts[b["x"]].sum(), b["x"].size) for b in read], axis=0)
    return float(tokens / words)


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise ValueError(
            "expected the package sentencepiece for lm1b, got none; install it: "
            "pip install diffjax[subwords]"
        ) from error
    return sentencepiece


def _model(path: str) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"expected a vocabulary of SentencePiece, got {path}; make it, once: python"
            ' -c "from diffjax.data import subwords; subwords.train_vocabulary('
            f"'{path}')\""
        )
    try:
        model = _sentencepiece().SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"expected a vocabulary of SentencePiece, got {path}: {error}"
        ) from error
    if model.eos_id() != END or model.get_piece_size() > 2**16:
        raise ValueError(
            f"expected at most 65536 pieces, number {END} the end of a sentence, got "
            f"{model.get_piece_size()} and {model.eos_id()} in {path}; make it with "
            "subwords.train_vocabulary"
        )
    return model


def _texts(rows: Any, num: int) -> Iterator[str]:
    for start in range(0, num, BLOCK):
        block = range(start, min(start + BLOCK, num))
        yield from (row["text"].decode() for row in rows.__getitems__(list(block)))


def _pack(path: Path, model: Any, rows: Any) -> None:
    """All or nothing: a name that exists is a file that is whole."""
    part = path.with_suffix(f".{os.getpid()}.part")
    texts = _texts(rows, len(rows))
    with open(part, "wb") as file:
        while block := [text for _, text in zip(range(BLOCK), texts, strict=False)]:
            for ids in model.encode(block, add_eos=True):
                file.write(np.asarray(ids, np.uint16).tobytes())
    os.replace(part, path)


def _windows(tokens: np.ndarray, length: int) -> Source:
    if not 1 <= length <= len(tokens):
        raise ValueError(
            f"expected a length in 1..{len(tokens)} for lm1b, got {length}"
        )

    def read(indices: np.ndarray) -> Batch:
        return {"x": tokens[indices[:, None] * length + np.arange(length)]}

    return Source(len(tokens) // length, read)
