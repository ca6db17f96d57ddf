"""What can be said of text without a model: letters, repetition, spelling.

Bits per character of a model are `core.bounds.bits_per_dim` of its bound.
"""

import re
from collections.abc import Hashable, Iterable, Sequence, Set

import numpy as np

WORD = re.compile(r"(?<=\s)\S+(?=\s)")
"""Between spaces on both sides: what touches an edge may have been cut there."""


def unigram_entropy(counts: np.ndarray) -> float:
    r"""Bits per character of a model that knows how often each letter occurs, no more.

        H = - sum_k p_k log2 p_k,    p = c / sum c,    0 log 0 = 0

    A model of text that is not below it has learned nothing of the order of letters.

    Args: counts: [K], not negative, not all zero.
    Returns: bits per character.
    """
    counts = np.asarray(counts, np.float64)
    if (counts < 0).any() or not counts.any():
        raise ValueError(
            f"expected counts >= 0, not all zero, got {counts.tolist()}; they are "
            "np.bincount of the tokens"
        )
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def distinct(samples: Iterable[Sequence[Hashable]], n: int) -> float:
    r"""The share of the n-grams that differ: low where samples repeat themselves.

        distinct-n = |set of n-grams| / number of n-grams

    Li et al. 2016 (arXiv:1510.03055), section 5.3. It falls with the number of samples:
    compare at equal numbers.

    Args: samples: strings, lists of words, or of tokens.  n: length, >= 1.
    Returns: 0..1 (no unit).
    """
    if n < 1:
        raise ValueError(f"expected n >= 1, got {n}; 1 and 2 are usual")
    grams = [
        tuple(sample[i : i + n])
        for sample in samples
        for i in range(len(sample) - n + 1)
    ]
    if not grams:
        raise ValueError(f"expected a sample of {n} tokens or more, got none")
    return len(set(grams)) / len(grams)


def words(sample: str) -> list[str]:
    r"""The whole words of a piece of text.

        those with a space on either side

    Args: sample: cut out of a longer text, maybe in the middle of a word.
    Returns: the words in order (no unit).
    """
    return WORD.findall(sample)


def spelling_rate(samples: Iterable[str], vocabulary: Set[str]) -> float:
    r"""The share of the words that are words.

        | { w in samples : w in vocabulary } | / | { w in samples } |

    On held-out text it is less than 1 already: print that beside it.

    Args: samples: pieces of text.  vocabulary: `words` of the training text.
    Returns: 0..1 (no unit).
    """
    known = [word in vocabulary for sample in samples for word in words(sample)]
    if not known:
        raise ValueError(
            "expected a whole word, between two spaces, in the samples, got none; draw "
            "longer ones"
        )
    return sum(known) / len(known)
