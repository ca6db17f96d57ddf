"""LM1B in pieces of words, of a hundred sentences that are not LM1B's."""

import pathlib

import numpy as np
import pytest
import sentencepiece

from diffjax.data import subwords, text
from diffjax.data.prepared import prepared


@pytest.fixture(scope="module")
def tiny(tfds_dir, vocabulary):
    return subwords.lm1b(vocabulary=vocabulary, length=16, data_dir=tfds_dir)


def tokens(source):
    return source.read(np.arange(source.num))["x"].reshape(-1)


def test_the_sentences_can_be_read_again(tiny, tfds_dir):
    """All of them in order, each ended, but for what the last example cuts off."""
    rows = prepared("lm1b", tfds_dir).as_data_source(split="test")
    whole = "".join(f" {row['text'].decode()}\n" for row in rows)
    shown = text.decode(tokens(tiny.test), tiny.alphabet)
    assert whole.startswith(shown) and len(whole) - len(shown) < 16 * 12
    assert tiny.test.num * 16 == len(tokens(tiny.test))


def test_a_piece_is_of_the_vocabulary(tiny, vocabulary):
    model = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
    assert tiny.levels == model.get_piece_size() == len(tiny.alphabet) == 24
    assert tokens(tiny.train).max() < 24


def test_words_are_counted_with_their_ends(tiny):
    """Thirteen words a sentence: twelve and its end."""
    shown = text.decode(tokens(tiny.test), tiny.alphabet)
    words = shown.count(" ") + shown.count("\n")
    assert subwords.tokens_per_word(tiny) == len(tokens(tiny.test)) / words


def test_the_sentences_are_packed_once_for_each_vocabulary(
    tiny, tfds_dir, vocabulary, tmp_path
):
    folder = pathlib.Path(prepared("lm1b", tfds_dir).data_dir)
    before = {file: file.stat().st_mtime_ns for file in folder.glob("packed-*")}
    assert len(before) == 2 and not list(folder.glob("*.part"))
    subwords.lm1b(vocabulary=vocabulary, length=8, data_dir=tfds_dir)
    assert before == {f: f.stat().st_mtime_ns for f in folder.glob("packed-*")}
    other = str(tmp_path / "tiny.model")  # of the same name, but another one
    subwords.train_vocabulary(other, K=22, data_dir=tfds_dir)
    found = subwords.lm1b(vocabulary=other, length=16, data_dir=tfds_dir)
    assert found.levels == 22 and len(list(folder.glob("packed-*"))) == 4
    one, two = (text.decode(tokens(d.test), d.alphabet) for d in (tiny, found))
    assert one[:4000] == two[:4000]


def test_mistakes(tfds_dir, vocabulary, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train_vocabulary\('none.model'\)"):
        subwords.lm1b(vocabulary="none.model", data_dir=tfds_dir)
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(b"no model")
    with pytest.raises(ValueError, match="expected a vocabulary of SentencePiece, got"):
        subwords.lm1b(vocabulary=str(damaged), data_dir=tfds_dir)
    with pytest.raises(ValueError, match=r"expected a length in 1\.\.\d+ for lm1b"):
        subwords.lm1b(vocabulary=vocabulary, length=10**6, data_dir=tfds_dir)
    with pytest.raises(ValueError, match="as the sentences can fill, got K = 5000"):
        subwords.train_vocabulary(str(damaged), K=5000, data_dir=tfds_dir)
    assert damaged.read_bytes() == b"no model"
    with pytest.raises(FileNotFoundError, match="expected lm1b below .* download it"):
        subwords.lm1b(vocabulary=vocabulary, data_dir=str(tmp_path))


def test_a_vocabulary_of_other_ends_is_refused(tfds_dir, tmp_path):
    other = str(tmp_path / "other.model")
    sentences = iter(["a cat sat", "a dog sat"] * 20)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences,
        model_prefix=other.removesuffix(".model"),
        vocab_size=12,
        minloglevel=2,
    )
    with pytest.raises(ValueError, match="the end of a sentence, got 12 and 2"):
        subwords.lm1b(vocabulary=other, data_dir=tfds_dir)
