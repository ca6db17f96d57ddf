"""Images against scikit-learn's own arrays and against files written by the test."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from diffjax.data import dataset, images


def everything(source):
    return source.read(np.arange(source.num))


def test_digits_are_those_of_sklearn(digits):
    """TFDS shuffles what it writes, so they are compared as sets of images."""
    expected = datasets.load_digits()
    parts = {"train": slice(1500), "test": slice(1500, None)}
    for split, part in parts.items():
        got = everything(getattr(digits, split))
        pairs = sorted(
            (x.tobytes(), y) for x, y in zip(got["x"], got["label"], strict=True)
        )
        pixels = expected.images[part].astype(np.uint8)
        labels = expected.target[part]
        assert pairs == sorted(
            (x.tobytes(), y) for x, y in zip(pixels, labels, strict=True)
        )
    assert digits.shape == (8, 8, 1) and digits.levels == 17
    assert everything(digits.train)["x"].max() == 16


def test_digits_without_tensorflow_and_torch(tmp_path):
    """Prepared, read and batched in a fresh process; the second opening only reads."""
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from diffjax.data import images, pipeline, transforms\n"
        "for _ in range(2): d = images.digits(data_dir=sys.argv[1])\n"
        "b = next(pipeline.batches(d.train, 0, batch_size=4, "
        "transforms=[transforms.symmetric(17)]))\n"
        "print(b['x'].shape, {'tensorflow', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "(4, 8, 8, 1) set()", done.stderr
    assert (tmp_path / "digits" / "1.0.0" / "dataset_info.json").exists()


def test_digits_where_nothing_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="expected to write .*set data_dir or TFDS_DATA_"):
        images.digits(data_dir=str(blocked / "below"))


def test_photos_are_crops_and_no_test_pixel_is_trained_on():
    photos = images.photos(size=32, stride=64)
    assert photos.shape == (32, 32, 3) and photos.levels == 256
    pictures = datasets.load_sample_images().images

    def found(split):
        batch = everything(split)
        for x, label in zip(batch["x"], batch["label"], strict=True):
            yield next(
                j
                for i in range(0, 427 - 31, 64)
                for j in {*range(0, 480 - 31, 64), *range(480, 640 - 31, 64)}
                if np.array_equal(pictures[label][i : i + 32, j : j + 32], x)
            )

    assert max(found(photos.train)) + 32 <= 480 <= min(found(photos.test))
    assert photos.train.num == 2 * 7 * 8 and photos.test.num == 2 * 7 * 3


def test_the_number_of_classes_is_known(digits):
    """And no label is beyond it."""
    for found, classes in (
        (digits, 10),
        (images.photos(size=32, stride=32), 2),
    ):
        labels = found.train.read(np.arange(found.train.num))["label"]
        assert found.classes == classes == labels.max() + 1


def test_resizing():
    x = np.zeros((6, 4, 3), np.uint8)
    x[1:5, :, 0] = 200  # the square in the middle
    np.testing.assert_array_equal(images.fit(4)(x)[..., 0], 200)
    assert images.fit(8)(x).shape == images.squash(8)(x).shape == (8, 8, 3)
    assert images.squash(2)(x[..., :1]).shape == (2, 2, 1)
    assert images.squash(6)(x)[0, 0, 0] < 200


def test_tfds_by_name(digits, tmp_path):
    """The digits again, as anyone's prepared data set."""
    folder = tmp_path / "tfds"
    images.digits(data_dir=str(folder))
    mine = images.tfds("digits", data_dir=str(folder), levels=17)
    expected = everything(digits.test)
    for key, value in everything(mine.test).items():
        np.testing.assert_array_equal(value, expected[key])
    larger = images.tfds("digits", data_dir=str(folder), resize=images.squash(16))
    assert larger.shape == (16, 16, 1) and larger.classes == 10
    halves = images.tfds(
        "digits", data_dir=str(folder), train="train[:90%]", test="train[90%:]"
    )
    assert (halves.train.num, halves.test.num) == (1350, 150)
    with pytest.raises(
        ValueError, match=r"a split among \['test', 'train'\] .* nothere"
    ):
        images.tfds("digits", data_dir=str(folder), test="nothere")


def test_tfds_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected mnist below .*download it:"):
        images.tfds("mnist", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="expected a data set of TFDS .*'mnst'"):
        images.tfds("mnst", data_dir=str(tmp_path))


def rows(x):
    return dataset.of_arrays({"x": np.asarray(x)})


@pytest.mark.parametrize(
    "train, levels, message",
    [
        ([[0, 3]], 3, r"mine train: expected integers 0\.\.2, got 0\.\.3; set levels"),
        ([[-1, 0]], 3, r"expected integers 0\.\.2, got -1\.\.0"),
        ([[0.5, 0.0]], 3, "expected integers .*, got float64; give raw values"),
        ([[0, 1]], 0, "expected real numbers .*, got int64"),
        ([[np.nan, 0.0]], 0, "expected finite numbers, got nan or inf"),
        (np.zeros((0, 2), int), 2, "at least one example in the train split of mine"),
        ([[0, 1]], 1, "expected levels >= 2, or 0 for real numbers, got 1"),
    ],
)
def test_wrong_values_are_told_as_they_are_read(train, levels, message):
    good = rows(np.zeros((1, 2), int if levels else float))
    with pytest.raises(ValueError, match=message):
        everything(dataset.of_sources("mine", rows(train), good, levels=levels).train)


def test_wrong_shapes_are_told():
    good, other = rows([[0, 1]]), rows([[0, 1, 1]])
    with pytest.raises(
        ValueError, match=r"mine test: expected examples \[2\], got \[3\]"
    ):
        everything(dataset.of_sources("mine", good, other, levels=2).test)
    with pytest.raises(ValueError, match="of one shape, got .*resize the images"):
        dataset.stack([{"x": np.zeros(2)}, {"x": np.zeros(3)}])
    with pytest.raises(
        ValueError, match="arrays of one length, got {'x': 2, 'label': 3}"
    ):
        dataset.of_arrays({"x": np.zeros(2), "label": np.zeros(3)})
