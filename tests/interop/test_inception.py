"""Inception's weights: read, refused, and what the network then computes of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.interop import inception
from interop import inception_reference as reference

BLOCKS = [f"Mixed_{name}" for name in "5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split()]
KERNEL = "Mixed_5b.branch1x1.conv.weight"


@pytest.fixture(scope="module")
def state():
    return reference.state()


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    path = tmp_path_factory.mktemp("inception") / "weights.safetensors"
    save_file(state | reference.extras(), path)
    return path


@pytest.fixture(scope="module")
def loaded(file):
    return inception.load(file)


@pytest.fixture(scope="module")
def computed(state, loaded):
    """One pass of small images, 2 x 3 places in the last blocks, and of the reference.

    All in one program, and each block's output beside the reference's.
    """
    net, params = loaded
    x = np.random.default_rng(1).uniform(-1, 1, (2, 107, 139, 3)).astype(np.float32)
    run = jax.jit(
        lambda params, x: net.apply(params, x, capture_intermediates=True),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    features, found = run(params, jnp.asarray(x))
    found = {name: found["intermediates"][name]["__call__"][0] for name in BLOCKS}
    op = reference.NumPy(state)
    wanted = reference.network(op, x.astype(np.float64).transpose(0, 3, 1, 2))
    return (features, found), (wanted, op.seen)


def test_every_block_is_the_reference(computed):
    """The pools' rules, the paddings and the order of the branches in each of them."""
    (_, found), (_, wanted) = computed
    assert set(BLOCKS) == wanted.keys() and wanted["Mixed_7c"].shape[2:] == (2, 3)
    for name in BLOCKS:
        mine, theirs = found[name], wanted[name].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(
            mine, theirs, rtol=1e-3, atol=1e-4 * theirs.std(), err_msg=name
        )


def test_features_are_the_reference(computed):
    (mine, _), (theirs, _) = computed
    assert mine.shape == (2, 2048) and theirs.std() > 0.1
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * theirs.std())


def test_the_keys_are_those_of_the_layout(state, loaded):
    """Bit for bit, statistics too; what is not used is not there."""
    net, params = loaded
    assert net.precision == "highest"  # rounded products are not the features
    assert sum(p.size for p in jax.tree.leaves(params["params"])) == 21_785_568
    first = params["params"]["Mixed_5b"]["branch1x1"]
    kernel = state[KERNEL].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(first["conv"]["kernel"], kernel, strict=True)
    seen = params["batch_stats"]["Mixed_7c"]["branch3x3dbl_3b"]["bn"]
    for leaf, key in {"mean": "running_mean", "var": "running_var"}.items():
        wanted = state[f"Mixed_7c.branch3x3dbl_3b.bn.{key}"]
        np.testing.assert_array_equal(seen[leaf], wanted, strict=True)
    assert len(jax.tree.leaves(params)) == len(state) == 94 * 5


def test_images_of_other_sizes_are_made_by_hand():
    """Halfway between two places; every third of three; two of 598 averaged."""
    edge = jnp.asarray([0.0, 1.0]).reshape(1, 2, 1, 1)
    up = (np.asarray(inception.prepare(edge)) + 1) / 2
    assert up.shape == (1, 299, 299, 3)
    wanted = np.clip((np.arange(299) + 0.5) * 2 / 299 - 0.5, 0, 1)
    assert wanted[74] == 0 and wanted[149] == 0.5 and wanted[224] == 1
    wanted = np.broadcast_to(wanted[:, None, None], (299, 299, 3))
    np.testing.assert_allclose(up[0], wanted, atol=1e-6)
    x = np.random.default_rng(0).uniform(size=(1, 897, 299, 3)).astype(np.float32)
    third = inception.prepare(jnp.asarray(x))
    np.testing.assert_allclose(third, 2 * x[:, 1::3] - 1, atol=1e-5)
    x = x[:, :299].repeat(2, axis=2) + np.tile(np.float32([0, 0.5]), 299)[:, None]
    half = inception.prepare(jnp.asarray(x))
    np.testing.assert_allclose(half, x[:, :, ::2] + x[:, :, 1::2] - 1, atol=1e-5)


def test_the_resize_is_torchs_rule():
    """Up in one direction and down in the other, in loops."""
    x = np.random.default_rng(0).uniform(size=(1, 17, 403, 1)).astype(np.float32)

    def between(n):
        for r in range(299):
            place = max((r + 0.5) * n / 299 - 0.5, 0)
            low = int(place)
            yield low, min(low + 1, n - 1), place - low

    wanted = np.array(
        [
            [
                (1 - u) * ((1 - v) * x[0, i, k, 0] + v * x[0, i, m, 0])
                + u * ((1 - v) * x[0, j, k, 0] + v * x[0, j, m, 0])
                for k, m, v in between(403)
            ]
            for i, j, u in between(17)
        ]
    )
    found = inception.prepare(jnp.asarray(x))
    for channel in range(3):
        np.testing.assert_allclose(found[0, :, :, channel], 2 * wanted - 1, atol=1e-4)


def test_features_of_images(file, monkeypatch):
    """Grey is colour three times; the function has its weights as arguments."""
    monkeypatch.setattr(inception, "SIDE", 75)
    features = inception.features(file)
    grey = np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype(np.float32)
    run = jax.jit(
        lambda features, x: features(x),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    found = run(features, jnp.asarray(np.concatenate([grey, 1 - grey]).repeat(3, -1)))
    assert found.shape == (2, 2048) and np.all(np.isfinite(found))
    assert not np.allclose(found[0], found[1])
    program = run.lower(features, jnp.zeros((2, 8, 8, 3))).as_text()
    assert len(program) < 1_000_000  # and none of the 21785568 numbers


def test_damaged_weights_are_named():
    zero = {k: np.broadcast_to(np.float32(0), s) for k, s in reference.shapes().items()}

    def refuses(change, match, lost=()):
        given = {k: v for k, v in {**zero, **change}.items() if k not in lost}
        with pytest.raises(ValueError, match=match):
            inception.from_state(given)

    refuses({}, r"expected the 470 .* 1 missing \(Mixed_5b\.branch1x1\.c", (KERNEL,))
    refuses({"Mixed_8a.bn.bias": np.zeros(1)}, r"1 unknown \(Mixed_8a\.bn\.bias\)")
    wrong = {KERNEL: np.zeros((1, 1, 192, 64), np.float32)}
    refuses(wrong, r"1x1\.conv\.weight of shape \(64, 192, 1, 1\), got \(1, 1, 192")
    wrong = {"Mixed_7c.branch_pool.bn.running_var": np.zeros(191, np.float32)}
    refuses(wrong, r"running_var of shape \(192,\), got \(191,\)")
    refuses({KERNEL: np.zeros((64, 192, 1, 1), int)}, "real numbers in Mixed_5b.*int64")
    torchvision = {"fc.weight": np.zeros((1000, 2048), np.float32)}
    refuses(torchvision, r"1008 classes, got \[1000, 2048\]; these are not")
    aux = {"AuxLogits.conv0.conv.weight": np.zeros(1), **reference.extras()}
    inception.from_state({**zero, **aux})


def test_damaged_files_are_refused(file, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:1_000_000])
    with pytest.raises(ValueError, match="whole safetensors file, got .*cut.safete"):
        inception.load(cut)
    with pytest.raises(FileNotFoundError, match="nowhere.pth, got none"):
        inception.features(tmp_path / "nowhere.pth")
    cut.rename(tmp_path / "weights.bin")
    with pytest.raises(ValueError, match=r"safetensors or \.pth, got weights\.bin; re"):
        inception.load(tmp_path / "weights.bin")


def test_a_pth_without_torch_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "weights.pth").write_bytes(b"PK")
    with pytest.raises(ImportError, match="expected torch .*pip install"):
        inception.load(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (jnp.zeros((2, 8, 8, 2)), r"C = 1 or 3, got \[2, 8, 8, 2\]"),
        (jnp.zeros((8, 8, 3)), r"C = 1 or 3, got \[8, 8, 3\]"),
        (jnp.zeros((2, 8, 8, 3), jnp.uint8), "real x .* got uint8; divide by 255"),
    ],
)
def test_what_is_no_image_is_refused(x, match):
    with pytest.raises(ValueError, match=match):
        inception.prepare(x)


@pytest.mark.slow
def test_torch_itself(state, tmp_path):
    """At full size, from a file of torch, by torch's own layers and interpolation."""
    torch = pytest.importorskip("torch")
    tensors = {k: torch.from_numpy(v.copy()) for k, v in state.items()}
    more = {k: torch.from_numpy(v) for k, v in reference.extras().items()}
    torch.save(tensors | more, tmp_path / "weights.pth")
    features = inception.features(tmp_path / "weights.pth")

    def resized(x):
        y = np.broadcast_to(x, (*x.shape[:3], 3)).transpose(0, 3, 1, 2).copy()
        y = torch.nn.functional.interpolate(
            torch.from_numpy(y), size=(299, 299), mode="bilinear", align_corners=False
        )
        return 2 * y - 1

    rng = np.random.default_rng(2)
    for size in ((28, 500, 1), (32, 48, 3)):
        x = rng.uniform(size=(2, *size)).astype(np.float32)
        mine = np.asarray(inception.prepare(jnp.asarray(x))).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(mine, resized(x), atol=1e-4)
    wanted = reference.network(reference.Torch(torch, tensors), resized(x)).numpy()
    found = jax.jit(lambda features, x: features(x))(features, jnp.asarray(x))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * wanted.std())
