"""Text: Mahoney's alphabet, windows, and files."""

import gzip
import lzma

import numpy as np
import pytest

from diffjax.data import text


def test_clean_is_what_mahoney_prescribes():
    assert text.clean("Python 3.12!") == "python three one two"
    assert text.clean("  A--b\n\tÜ c ") == "a b c"
    assert text.clean("x10y") == "x one zero y"


def test_reference_is_text8_like():
    data = text.reference(length=64)
    assert data.shape == (64,) and data.levels == 27 and data.alphabet == text.LETTERS
    assert data.train.num > 100_000 and data.test.num > 100
    some = data.train.read(np.arange(0, 100_000, 997))["x"]
    joined = " ".join(text.decode(row, data.alphabet) for row in some)
    assert "python" in joined or "statement" in joined
    assert "  " not in text.decode(some[0], data.alphabet)


def test_windows():
    whole = "abcdefghij" * 10
    data = text.of_string("mine", whole, "abcdefghij", length=5)
    assert data.train.num == 86 and data.test.num == 2
    windows = data.train.read(np.array([0, 3, 85]))["x"]
    decoded = [text.decode(row, data.alphabet) for row in windows]
    assert decoded == [whole[0:5], whole[3:8], whole[85:90]]
    tests = data.test.read(np.arange(2))["x"]
    assert [text.decode(row, data.alphabet) for row in tests] == [
        whole[90:95],
        whole[95:],
    ]


def test_encode_and_decode_undo_each_other():
    alphabet = "zaä€b"
    tokens = text.encode("€zabä", alphabet)
    np.testing.assert_array_equal(tokens, [3, 0, 1, 4, 2])
    assert text.decode(tokens, alphabet) == "€zabä"
    assert text.decode(np.array([0, 5, -1]), alphabet) == "z__"
    with pytest.raises(ValueError, match="expected the 5 characters .*, got 'q'; use"):
        text.encode("zq", alphabet)


def test_own_files(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("Ab1 ä" * 100, encoding="utf-8")
    assert text.characters(str(file), length=8).alphabet == " 1Abä"
    cleaned = text.letters(str(file), length=8)
    row = cleaned.train.read(np.array([0]))["x"][0]
    assert text.decode(row, cleaned.alphabet) == "ab one a"


@pytest.mark.parametrize("suffix, module", [(".gz", gzip), (".xz", lzma)])
def test_a_file_to_test_on_and_files_that_are_packed(tmp_path, suffix, module):
    """Each split is a whole file; packed ones read as what they hold."""
    for name, words in (("train", "one two "), ("test", "TEN! ")):
        (tmp_path / name).write_text(words * 9)
        with module.open(tmp_path / f"{name}.txt{suffix}", "wt") as file:
            file.write(words * 9)
    plain = text.letters(str(tmp_path / "train"), test=str(tmp_path / "test"), length=7)
    packed = [str(tmp_path / f"{name}.txt{suffix}") for name in ("train", "test")]
    found = text.letters(packed[0], test=packed[1], length=7)
    assert (found.train.num, found.test.num) == (8 * 9 - 1 - 6, (4 * 9 - 1) // 7)
    for split, words in (("train", "one two"), ("test", "ten ten")):
        for data in (plain, found):
            first = getattr(data, split).read(np.arange(1))["x"][0]
            assert text.decode(first, data.alphabet) == words
    (tmp_path / f"bad{suffix}").write_text("not packed")
    with pytest.raises(ValueError, match=f"that {suffix[1:]} packed, got .*; unpack"):
        text.letters(str(tmp_path / f"bad{suffix}"))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda d: text.characters(str(d / "no")),
            FileNotFoundError,
            "a text file, got",
        ),
        (lambda d: text.letters(str(d / "latin")), ValueError, "text in UTF-8, got"),
        (lambda d: text.letters(str(d / "short")), ValueError, "a length in 1..1 for"),
        (lambda d: text.text8(str(d / "short")), ValueError, "text8, 100000000 char"),
    ],
)
def test_bad_files(tmp_path, call, error, message):
    (tmp_path / "latin").write_bytes("ä".encode("latin-1") * 9)
    (tmp_path / "short").write_text("ab cd ef g")
    with pytest.raises(error, match=message):
        call(tmp_path)
