"""A bound in any batch size is the mean of the examples' own; text by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core.bounds import Bound
from diffjax.evaluate import Record, record, summary, text

RNG = np.random.default_rng(2)
N, L = 13, 3
BOUND = Bound(
    -RNG.gamma(20, 5, N).astype(np.float32),
    RNG.gamma(3, 1, (N, L)).astype(np.float32),
    RNG.gamma(2, 1, N).astype(np.float32),
)


def part(start, size):
    """Examples start .. start + size - 1, the last one repeated beyond the end."""
    index = np.minimum(np.arange(start, start + size), N - 1)
    bound = Bound(*(jnp.asarray(leaf[index]) for leaf in BOUND))
    return bound, np.arange(start, start + size) < N


def over(starts, size):
    update, seen = jax.jit(summary.update), summary.zero(L)
    for start in starts:
        bound, mask = part(start, size)
        seen = update(seen, bound, mask=mask)
    return seen


def agrees(seen):
    rate = BOUND.divergences.astype(np.float64).sum(1) + BOUND.prior
    wanted = summary.Terms(
        elbo=BOUND.reconstruction - rate,
        rate=rate,
        distortion=-BOUND.reconstruction,
        divergences=BOUND.divergences,
        prior=BOUND.prior,
    )
    for moments, values in zip(seen, wanted, strict=True):
        found = summary.estimate(moments)
        error = values.std(0, ddof=1) / np.sqrt(N)
        np.testing.assert_allclose(found.mean, values.mean(0), rtol=2e-6)
        np.testing.assert_allclose(found.standard_error, error, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 4, 5, 16])
def test_a_bound_is_that_of_its_examples_in_any_batch_size(size):
    agrees(over(range(0, N, size), size))


def test_two_passes_merge():
    agrees(summary.merge(over([0], 4), over([4, 8, 12], 4)))


def test_a_bound_on_two_devices():
    def update(seen, bound, mask):
        return summary.update(seen, bound, mask=mask, axis_name="devices")

    bound, mask = part(0, 16)
    halves = jax.tree.map(lambda leaf: leaf.reshape(2, 8, *leaf.shape[1:]), bound)
    spread = jax.pmap(update, axis_name="devices", in_axes=(None, 0, 0))
    seen = jax.device_get(spread(summary.zero(L), halves, mask.reshape(2, 8)))
    for device in range(2):
        agrees(jax.tree.map(lambda leaf, device=device: leaf[device], seen))


def test_bits_are_nats_over_dims_and_log_two():
    nats = summary.Estimate(np.float64(64 * np.log(2)), np.float64(np.log(2)))
    assert summary.bits(nats, 64) == pytest.approx((1.0, 1 / 64))


def test_an_infinite_bound_is_told_as_such():
    """Absorbing diffusion that ends before the mask does: its prior term is inf."""
    seen = summary.zero(L)
    for start in (0, 4):
        bound, _ = part(start, 4)
        seen = summary.update(seen, bound._replace(prior=bound.prior + jnp.inf))
    assert summary.estimate(seen.elbo).mean == -np.inf
    assert np.isnan(summary.estimate(seen.elbo).standard_error)
    assert np.isfinite(summary.estimate(seen.distortion)).all()


def test_one_example_has_no_standard_error():
    seen = summary.update(summary.zero(L), part(0, 1)[0])
    found = summary.estimate(seen.distortion)
    assert found.mean == pytest.approx(-BOUND.reconstruction[0])
    assert np.isnan(found.standard_error)


def test_unigram_entropy():
    assert text.unigram_entropy([1, 1, 1, 1, 0]) == 2
    assert text.unigram_entropy([2, 1, 1]) == pytest.approx(1.5)
    assert text.unigram_entropy([9, 0]) == 0


def test_distinct_n_grams():
    """abab: ab ba ab; b: none; ["a", "b"] is one of them again."""
    samples = ["abab", "b", ["a", "b"]]
    assert text.distinct(samples, 2) == 2 / 4
    assert text.distinct(samples, 1) == 2 / 7
    assert text.distinct([np.array([5, 6, 5, 7])], 1) == 3 / 4


def test_words_cut_by_the_edge_do_not_count():
    assert text.words("ay the cat s") == ["the", "cat"]
    assert text.words(" the\ncat ") == ["the", "cat"]
    vocabulary = {"the", "cat", "s"}
    assert text.spelling_rate(["ay the cat s", "x teh cat y"], vocabulary) == 3 / 4


def test_text_in_pieces_is_spelled_right():
    whole = "to be or not to be that is the question whether it is nobler in the mind"
    pieces = [whole[i : i + 9] for i in range(0, len(whole), 9)]
    spoken = [piece for piece in pieces if text.words(piece)]
    assert text.spelling_rate(spoken, set(whole.split())) == 1


def test_records_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "scores.jsonl"
    records = [
        Record("Frechet distance", 3.25, None, 1000, "test", "classifier"),
        Record("spelling", 0.5, 0.01, 64, "samples"),
    ]
    record.save(path, records)
    assert record.load(path) == records


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: summary.estimate(summary.zero(L).elbo), "1 example or more, got none"),
        (lambda: summary.bits((1.0, 1.0), 0), "expected num_dims >= 1, got 0; it is"),
        (lambda: text.unigram_entropy([0, 0]), r"not all zero, got \[0.0, 0.0\]; they"),
        (lambda: text.unigram_entropy([2, -1]), "expected counts >= 0"),
        (lambda: text.distinct(["ab"], 0), "expected n >= 1, got 0; 1 and 2 are"),
        (lambda: text.distinct(["ab"], 3), "a sample of 3 tokens or more, got none"),
        (lambda: text.spelling_rate(["abc"], {"abc"}), "in the samples, got none; dr"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("line", ["{", '{"metric": "x"}', "[]"])
def test_a_damaged_file_of_records(line, tmp_path):
    path = tmp_path / "scores.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="expected a record a line in .*scores.jsonl"):
        record.load(path)
