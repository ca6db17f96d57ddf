"""Text as characters: built in, text8, and one's own files."""

import gzip
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.data.dataset import Batch, DataSet, Source, of_sources

LETTERS = " abcdefghijklmnopqrstuvwxyz"
"""text8's alphabet: token 0 is the space, 1..26 are the letters."""
GAP = "_"
"""A character that is not known: masked in a chain, to be drawn in a template."""
_DIGITS = dict(
    zip(
        "0123456789",
        " zero , one , two , three , four , five , six , seven , eight , nine ".split(
            ","
        ),
        strict=True,
    )
)


def reference(*, length: int = 256) -> DataSet:
    r"""The reference of the Python language that Python brings along.

        x in {0, ..., 26} [length]

    Every Python version has its own, of half a million letters.

    Args: length: of one example.
    Returns: DataSet of tokens [length] in text8's alphabet.
    """
    from pydoc_data import topics

    pages = [topics.topics[name] for name in sorted(topics.topics)]
    return of_string("text", clean(" ".join(pages)), LETTERS, length=length)


def text8(path: str, *, length: int = 256) -> DataSet:
    r"""Mahoney's text8 with its customary split.

        90 million characters to train on, the last 5 million to test

    The 5 million between are for validation and are not read.

    Args: path: of the unpacked file.  length: of one example.
    Returns: DataSet of tokens [length], K = 27.
    """
    text = _read(path)
    if len(text) != 100_000_000 or set(text) - set(LETTERS):
        raise ValueError(
            f"expected text8, 100000000 characters of a-z and space, got {path} with "
            f"{len(text)}; its results would not be text8 results: use `letters`"
        )
    train, test = text[:90_000_000], text[95_000_000:]
    return _of_parts("text8", train, test, LETTERS, length)


def letters(path: str, *, test: str | None = None, length: int = 256) -> DataSet:
    r"""One's own text in text8's alphabet.

        x = clean(text),    x in {0, ..., 26} [length]

    Args: path: a file in UTF-8, plain or packed (.gz, .xz).  test: a file to test on,
        else the last tenth of the first.  length: of one example.
    Returns: DataSet of tokens [length].
    """
    name, text = Path(path).name, clean(_read(path))
    if test is None:
        return of_string(name, text, LETTERS, length=length)
    return _of_parts(name, text, clean(_read(test)), LETTERS, length)


def characters(path: str, *, length: int = 256) -> DataSet:
    r"""One's own text, every character kept.

        K = how many different ones there are

    Args: path: a file in UTF-8.  length: of one example.
    Returns: DataSet of tokens [length]; its alphabet is in the order of code points.
    """
    text = _read(path)
    alphabet = "".join(sorted(set(text)))
    return of_string(Path(path).name, text, alphabet, length=length)


def of_string(name: str, text: str, alphabet: str, *, length: int) -> DataSet:
    r"""A string as a data set: its last tenth is the test split.

        train example i = text[i : i + length], at every place
        test example i = text[i length : (i + 1) length], side by side

    Args: name: for messages.  text: any.  alphabet: its characters.  length: of one
        example.
    Returns: DataSet of tokens [length], levels = len(alphabet).
    """
    border = len(text) * 9 // 10
    return _of_parts(name, text[:border], text[border:], alphabet, length)


def clean(text: str) -> str:
    r"""Text in text8's alphabet: a-z and single spaces, digits spelled out.

        "Python 3.12!" -> "python three one two"

    Mahoney's script for Wikipedia, without what it does to links and tables.

    Args: text: any.
    Returns: characters of LETTERS (no unit).
    """
    spelled = re.sub("[0-9]", lambda digit: _DIGITS[digit[0]], text.lower())
    return re.sub("[^a-z]+", " ", spelled).strip()


def encode(text: str, alphabet: str) -> np.ndarray:
    r"""Characters as tokens.

        x_i = alphabet.index(text_i)

    Args: text: N characters.  alphabet: K of them.
    Returns: uint8 or int32 [N] (category indices).
    """
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.array([ord(c) for c in alphabet], np.uint32)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], points), len(known) - 1)
    tokens = order[place]
    strange = points[known[tokens] != points]
    if strange.size:
        raise ValueError(
            f"expected the {len(alphabet)} characters {alphabet!r}, got "
            f"{chr(strange[0])!r}; use `clean`, or an alphabet that has it"
        )
    return tokens.astype(np.uint8 if len(alphabet) <= 256 else np.int32)


def decode(x: np.ndarray, alphabet: Sequence[str]) -> str:
    r"""Tokens as characters.

        text_i = alphabet[x_i]

    A token beyond the alphabet, such as a mask, is shown as "_".

    Args: x: integer [N].  alphabet: K characters.
    Returns: N characters (no unit).
    """
    return "".join(alphabet[i] if 0 <= i < len(alphabet) else GAP for i in x)


def template(
    text: str, alphabet: Sequence[str], *, length: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""A text with gaps: which characters are given, and where.

        "the ____" -> known_i = the token of text_i, known_mask_i = (text_i is no gap)

    What lies beyond its end is a gap too.

    Args: text: at most `length` characters, "_" for a gap.  alphabet: K characters, ""
        of data that are no text; one of pieces of words cannot be spelled in gaps.
        length: of one example.
    Returns: known integer [length], known_mask boolean [length] (category indices).
    """
    if not alphabet or not isinstance(alphabet, str):
        raise ValueError(
            "expected a model of letters to fill gaps in, got data without an "
            "alphabet of them; leave out --infill"
        )
    if not 1 <= len(text) <= length:
        raise ValueError(
            f"expected a text of 1 to {length} characters to fill in, got {len(text)}; "
            "the model was trained on so many"
        )
    known_mask = np.array([c != GAP for c in text.ljust(length, GAP)])
    plain = text.replace(GAP, alphabet[0]).ljust(length, alphabet[0])
    return encode(plain, alphabet).astype(np.int32), known_mask


def _of_parts(name: str, train: str, test: str, alphabet: str, length: int) -> DataSet:
    if length < 1 or min(len(train), len(test)) < length:
        raise ValueError(
            f"expected a length in 1..{min(len(train), len(test))} for {name}, got "
            f"{length}; a longer text can be cut longer"
        )
    both = (
        _windows(train, alphabet, length, 1),
        _windows(test, alphabet, length, length),
    )
    return of_sources(name, *both, levels=len(alphabet), alphabet=alphabet)


def _windows(text: str, alphabet: str, length: int, stride: int) -> Source:
    tokens = encode(text, alphabet)

    def read(indices: np.ndarray) -> Batch:
        return {"x": tokens[indices[:, None] * stride + np.arange(length)]}

    return Source((len(tokens) - length) // stride + 1, read)


def _read(path: str) -> str:
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"expected a text file, got {path}; give its path")
    opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(file.suffix, open)
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            return lines.read()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected text in UTF-8, got {path}: {error}; convert it"
        ) from error
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise ValueError(
            f"expected a file that {file.suffix[1:]} packed, got {path}: {error}; "
            "unpack it"
        ) from error
