"""Inception of the FID a second time: one wiring, by NumPy, by torch, or for its keys.

Written after the tables of torchvision's network, in torch's layout [B, C, H, W] and on
a state dict; shares nothing with `diffjax`.
"""

import numpy as np


class Keys:
    """Follows the channels alone, and collects the shapes of a state dict."""

    def __init__(self):
        self.shapes, self.seen = {}, {}

    def cell(self, name, channels, width, kernel, stride, pad):
        self.shapes[f"{name}.conv.weight"] = (width, channels, *kernel)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            self.shapes[f"{name}.bn.{leaf}"] = (width,)
        return width

    def pool(self, channels):
        return channels

    average = maximum = halved = pool

    def join(self, parts):
        return sum(parts)

    def places(self, channels):
        return channels


class NumPy:
    """Sums over the taps of a kernel, in float64."""

    def __init__(self, state):
        self.state, self.seen = state, {}

    def cell(self, name, x, width, kernel, stride, pad):
        weight, *norm = (
            self.state[f"{name}.{leaf}"].astype(np.float64)
            for leaf in (
                "conv.weight",
                "bn.weight",
                "bn.bias",
                "bn.running_mean",
                "bn.running_var",
            )
        )
        assert weight.shape == (width, x.shape[1], *kernel)
        y = 0
        for i, j, window in windows(x, kernel, stride, pad, fill=0):
            y = y + np.einsum(
                "oc,bchw->bohw", weight[:, :, i, j], window, optimize=True
            )
        scale, bias, mean, var = (each[:, None, None] for each in norm)
        return np.maximum((y - mean) / np.sqrt(var + 0.001) * scale + bias, 0)

    def average(self, x):
        found = [w for _, _, w in windows(x, (3, 3), 1, (1, 1), fill=np.nan)]
        return np.nanmean(found, axis=0)

    def maximum(self, x):
        found = [w for _, _, w in windows(x, (3, 3), 1, (1, 1), fill=-np.inf)]
        return np.max(found, axis=0)

    def halved(self, x):
        return np.max([w for _, _, w in windows(x, (3, 3), 2, (0, 0), fill=0)], axis=0)

    def join(self, parts):
        return np.concatenate(parts, axis=1)

    def places(self, x):
        return x.mean(axis=(2, 3))


class Torch:
    """By torch's own functions."""

    def __init__(self, torch, state):
        self.torch, self.F = torch, torch.nn.functional
        self.state, self.seen = state, {}

    def cell(self, name, x, width, kernel, stride, pad):
        y = self.F.conv2d(x, self.state[f"{name}.conv.weight"], None, stride, pad)
        mean, var, scale, bias = (
            self.state[f"{name}.bn.{leaf}"]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return self.F.relu(self.F.batch_norm(y, mean, var, scale, bias, eps=0.001))

    def average(self, x):
        return self.F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def maximum(self, x):
        return self.F.max_pool2d(x, 3, 1, 1)

    def halved(self, x):
        return self.F.max_pool2d(x, 3, 2)

    def join(self, parts):
        return self.torch.cat(parts, 1)

    def places(self, x):
        return self.F.adaptive_avg_pool2d(x, 1).flatten(1)


def windows(x, kernel, stride, pad, fill):
    """(i, j, what the tap i, j of a kernel meets at every place)."""
    edges = [(0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])]
    x = np.pad(x, edges, constant_values=fill)
    high, wide = (
        (n - k) // stride + 1 for n, k in zip(x.shape[2:], kernel, strict=True)
    )
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride * (high - 1) + 1, stride)
            columns = slice(j, j + stride * (wide - 1) + 1, stride)
            yield i, j, x[:, :, rows, columns]


STEM_1 = [
    ("Conv2d_1a_3x3", 32, (3, 3), 2, (0, 0)),
    ("Conv2d_2a_3x3", 32, (3, 3), 1, (0, 0)),
    ("Conv2d_2b_3x3", 64, (3, 3), 1, (1, 1)),
]
STEM_2 = [
    ("Conv2d_3b_1x1", 80, (1, 1), 1, (0, 0)),
    ("Conv2d_4a_3x3", 192, (3, 3), 1, (0, 0)),
]


def one(name, width):
    return name, width, (1, 1), 1, (0, 0)


def wide(name, width):
    return name, width, (1, 7), 1, (0, 3)


def high(name, width):
    return name, width, (7, 1), 1, (3, 0)


def three(name, width):
    return name, width, (3, 3), 1, (1, 1)


def strided(name, width):
    return name, width, (3, 3), 2, (0, 0)


def a(op, run, x, pooled):
    return [
        run(x, one("branch1x1", 64)),
        run(x, one("branch5x5_1", 48), ("branch5x5_2", 64, (5, 5), 1, (2, 2))),
        run(
            x,
            one("branch3x3dbl_1", 64),
            three("branch3x3dbl_2", 96),
            three("branch3x3dbl_3", 96),
        ),
        run(op.average(x), one("branch_pool", pooled)),
    ]


def b(op, run, x):
    return [
        run(x, strided("branch3x3", 384)),
        run(
            x,
            one("branch3x3dbl_1", 64),
            three("branch3x3dbl_2", 96),
            strided("branch3x3dbl_3", 96),
        ),
        op.halved(x),
    ]


def c(op, run, x, inner):
    return [
        run(x, one("branch1x1", 192)),
        run(
            x,
            one("branch7x7_1", inner),
            wide("branch7x7_2", inner),
            high("branch7x7_3", 192),
        ),
        run(
            x,
            one("branch7x7dbl_1", inner),
            high("branch7x7dbl_2", inner),
            wide("branch7x7dbl_3", inner),
            high("branch7x7dbl_4", inner),
            wide("branch7x7dbl_5", 192),
        ),
        run(op.average(x), one("branch_pool", 192)),
    ]


def d(op, run, x):
    return [
        run(x, one("branch3x3_1", 192), strided("branch3x3_2", 320)),
        run(
            x,
            one("branch7x7x3_1", 192),
            wide("branch7x7x3_2", 192),
            high("branch7x7x3_3", 192),
            strided("branch7x7x3_4", 192),
        ),
        op.halved(x),
    ]


def e(op, run, x, pool):
    single = run(x, one("branch3x3_1", 384))
    double = run(x, one("branch3x3dbl_1", 448), three("branch3x3dbl_2", 384))
    return [
        run(x, one("branch1x1", 320)),
        run(single, ("branch3x3_2a", 384, (1, 3), 1, (0, 1))),
        run(single, ("branch3x3_2b", 384, (3, 1), 1, (1, 0))),
        run(double, ("branch3x3dbl_3a", 384, (1, 3), 1, (0, 1))),
        run(double, ("branch3x3dbl_3b", 384, (3, 1), 1, (1, 0))),
        run(pool(x), one("branch_pool", 192)),
    ]


def network(op, x):
    """Features of x; what each block gives is in op.seen."""
    blocks = [
        *(("5b", a, 32), ("5c", a, 64), ("5d", a, 64), ("6a", b)),
        *(("6b", c, 128), ("6c", c, 160), ("6d", c, 160), ("6e", c, 192)),
        *(("7a", d), ("7b", e, op.average), ("7c", e, op.maximum)),
    ]

    def run_in(prefix):
        def run(x, *cells):
            for name, *cell in cells:
                x = op.cell(prefix + name, x, *cell)
            return x

        return run

    x = op.halved(run_in("")(x, *STEM_1))
    x = op.halved(run_in("")(x, *STEM_2))
    for name, block, *more in blocks:
        parts = block(op, run_in(f"Mixed_{name}."), x, *more)
        x = op.seen[f"Mixed_{name}"] = op.join(parts)
    return op.places(x)


def shapes():
    """Key -> shape, of the state dict without its classifier."""
    op = Keys()
    assert network(op, 3) == 2048
    return op.shapes


def state(seed=0):
    """Weights that keep the size of what passes through, from nowhere but a seed."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        if len(shape) == 1:
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return scale * rng.standard_normal(shape, dtype=np.float32)

    return {key: draw(shape) for key, shape in shapes().items()}


def extras():
    """What the published file has besides: the classifier, and counts of batches."""
    counts = {
        key.replace("running_mean", "num_batches_tracked"): np.array(0)
        for key in shapes()
        if key.endswith("running_mean")
    }
    fc = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    return counts | {key: np.zeros(shape, np.float32) for key, shape in fc.items()}
