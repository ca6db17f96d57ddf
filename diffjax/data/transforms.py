"""What happens to an example on its way into a batch: pure functions of a generator.

A transform is (rng, example) -> example, its generator a function of the seed and of
the example's place in the stream, so that neither hosts nor workers change a draw.
"""

from collections.abc import Callable, Sequence

import numpy as np

from diffjax.data.dataset import Batch, Example, Source, stack

Transform = Callable[[np.random.Generator, Example], Example]
"""(rng, example) -> example. It changes "x" and passes the rest on."""


def flip(rng: np.random.Generator, example: Example) -> Example:
    r"""Mirror an image left to right, every other time.

        x' = x or mirror(x), each with probability 1/2

    Args: rng: generator.  example: "x" [H, W, C].
    Returns: example, "x" [H, W, C] in the unit of x.
    """
    x = example["x"]
    if x.ndim != 3:
        raise ValueError(f"expected an image [H, W, C] to flip, got {list(x.shape)}")
    return {**example, "x": x[:, ::-1] if rng.random() < 0.5 else x}


def crop(size: int) -> Transform:
    r"""Cut a square out of an image, anywhere.

        x' = x[i:i+size, j:j+size],    i, j uniform

    Args: size: of the square, at most H and W.
    Returns: Transform to "x" [size, size, C] in the unit of x.
    """

    def apply(rng: np.random.Generator, example: Example) -> Example:
        x = example["x"]
        if x.ndim != 3 or min(x.shape[:2]) < size:
            raise ValueError(
                f"expected an image [H, W, C] of at least {size} x {size} to crop, got "
                f"{list(x.shape)}"
            )
        i, j = (rng.integers(length - size + 1) for length in x.shape[:2])
        return {**example, "x": x[i : i + size, j : j + size]}

    return apply


def symmetric(levels: int) -> Transform:
    r"""Levels as real numbers, what diffusion models learn.

        x' = 2 x / (levels - 1) - 1

    Ho et al. 2020 (arXiv:2006.11239), section 3.3.

    Args: levels: K, at least 2.
    Returns: Transform to "x" [...] in [-1, 1].
    """
    return _pixelwise(
        lambda rng, x: x.astype(np.float32) * (2 / (levels - 1)) - 1, levels
    )


def centred(levels: int) -> Transform:
    r"""Levels at the centres of equal bins of [-1, 1], for variational diffusion.

        x' = (2 x + 1) / levels - 1

    Kingma et al. 2021 (VDM, arXiv:2107.00630), published code.

    Args: levels: K, at least 2.
    Returns: Transform to "x" [...] in (-1, 1).
    """
    return _pixelwise(
        lambda rng, x: (2 * x.astype(np.float32) + 1) / levels - 1, levels
    )


def unit(levels: int) -> Transform:
    r"""Levels as grey values.

        x' = x / (levels - 1)

    Args: levels: K, at least 2.
    Returns: Transform to "x" [...] in [0, 1].
    """
    return _pixelwise(lambda rng, x: x.astype(np.float32) / (levels - 1), levels)


def dequantize(levels: int) -> Transform:
    r"""Fill the gaps between levels, so that a density on the reals bounds theirs.

        x' = (x + u) / levels,    u ~ U[0, 1)

    Theis et al. 2016 (arXiv:1511.01844), section 3.1. With D dimensions, log P(x) is
    at least E log p(x') - D log levels.

    Args: levels: K, at least 2.
    Returns: Transform to "x" [...] in [0, 1).
    """

    def fill(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        exact = (x.astype(np.float64) + rng.random(x.shape, np.float32)) / levels
        near = exact.astype(np.float32)  # rounded up, it could be of the next level
        return np.where(near > exact, np.nextafter(near, np.float32(0)), near)

    return _pixelwise(fill, levels)


def binarize(levels: int, *, threshold: float = 0.5) -> Transform:
    r"""Black or white, always the same.

        x' = 1 if x / (levels - 1) > threshold else 0

    Args: levels: K, at least 2.  threshold: a grey value.
    Returns: Transform to "x" [...], 0 or 1 in float32.
    """
    return _pixelwise(
        lambda rng, x: (x > threshold * (levels - 1)).astype(np.float32), levels
    )


def binarize_dynamic(levels: int) -> Transform:
    r"""Black or white, drawn anew every time that the example is seen.

        x' ~ Bernoulli(x / (levels - 1))

    Salakhutdinov & Murray 2008 draw once (`fixed`); Burda et al. 2015 (IWAE,
    arXiv:1509.00519) draw anew.

    Args: levels: K, at least 2.
    Returns: Transform to "x" [...], 0 or 1 in float32.
    """
    return _pixelwise(
        lambda rng, x: (rng.random(x.shape) * (levels - 1) < x).astype(np.float32),
        levels,
    )


def tokens(rng: np.random.Generator, example: Example) -> Example:
    r"""Levels as category indices, what discrete models learn.

        x' = x in int32

    Args: rng: not used.  example: "x" integer [...].
    Returns: example, "x" [...] (category indices).
    """
    return {**example, "x": example["x"].astype(np.int32)}


def flatten(rng: np.random.Generator, example: Example) -> Example:
    r"""An image as a vector.

        x' = x [D],    D = H W C

    Args: rng: not used.  example: "x" [...].
    Returns: example, "x" [D] in the unit of x.
    """
    return {**example, "x": example["x"].reshape(-1)}


def fixed(source: Source, transform: Transform, *, rng: int = 0) -> Source:
    r"""Transform every example once and for all: a draw that no epoch repeats.

        read'(i) = transform(generator(rng, i), read(i))

    With `binarize_dynamic` it is the static binarization of Salakhutdinov & Murray.

    Args: source: Source.  transform: Transform.  rng: a seed, another for each split.
    Returns: Source of the examples after the transform [...].
    """

    def read(indices: np.ndarray) -> Batch:
        return transformed((transform,), rng, indices, source.read(indices))

    return source._replace(read=read)


def transformed(
    transforms: Sequence[Transform], rng: int, places: np.ndarray, batch: Batch
) -> Batch:
    r"""Transform every example of a batch.

        example i' = transforms(generator(rng, places_i), example i)

    Args: transforms: applied in turn.  rng: a seed.  places: integer [n], of the
        examples in the stream.  batch: of n examples.
    Returns: Batch of n examples [n, ...].
    """
    if not transforms:
        return batch

    def one(i: int, place: int) -> Example:
        generator = np.random.default_rng((rng, place))
        example: Example = {key: array[i] for key, array in batch.items()}
        for transform in transforms:
            example = transform(generator, example)
        return example

    return stack([one(i, int(place)) for i, place in enumerate(places)])


def _pixelwise(
    function: Callable[[np.random.Generator, np.ndarray], np.ndarray], levels: int
) -> Transform:
    if levels < 2:
        raise ValueError(
            f"expected levels >= 2, got {levels}; real-valued data need no scaling"
        )

    def apply(rng: np.random.Generator, example: Example) -> Example:
        return {**example, "x": function(rng, example["x"])}

    return apply
