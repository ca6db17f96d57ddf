"""A folder of images as people have them, against files written by the test."""

import numpy as np
import PIL.Image
import pytest

from diffjax.data import dataset, folders, images


def everything(source):
    return source.read(np.arange(source.num))


@pytest.fixture
def files(tmp_path):
    """Twenty images 6 x 4, in two folders; the red channel numbers them."""
    for i in range(20):
        pixels = np.zeros((6, 4, 3), np.uint8)
        pixels[..., 0] = 10 * i
        pixels[2:4, :2, 1] = 255
        place = tmp_path / "ab"[i % 2]
        place.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(place / f"{i:02}.png")
    return tmp_path


def test_folder(files):
    mine = folders.folder(str(files), resize=images.center(2))
    train, test = everything(mine.train), everything(mine.test)
    assert len(train["x"]) == 18 and len(test["x"]) == 2
    red = [*train["x"][:, 0, 0, 0], *test["x"][:, 0, 0, 0]]
    assert sorted(red) == list(range(0, 200, 10))
    np.testing.assert_array_equal(train["label"], train["x"][:, 0, 0, 0] // 10 % 2)
    np.testing.assert_array_equal(train["x"][0, ..., 1], [[255, 0], [255, 0]])


def test_folder_with_splits_of_its_own(files):
    (files / "a").rename(files / "train")
    (files / "b").rename(files / "test")
    mine = folders.folder(str(files), resize=images.center(2))
    assert mine.train.num == mine.test.num == 10
    assert set(everything(mine.test)["x"][:, 0, 0, 0] // 10 % 2) == {1}


def test_folder_errors(files, tmp_path_factory):
    for missing in (files / "nowhere", files / "a" / "00.png"):
        with pytest.raises(FileNotFoundError, match=f"got {missing}, which is none"):
            folders.folder(str(missing), resize=images.fit(2))
    with pytest.raises(
        FileNotFoundError, match="expected PNG or JPEG files below .*none"
    ):
        folders.folder(str(tmp_path_factory.mktemp("empty")), resize=images.fit(2))
    with pytest.raises(
        ValueError, match="at least 5 x 5, got .6, 4, 3.; use a smaller"
    ):
        folders.folder(str(files), resize=images.center(5))
    (files / "a" / "00.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="expected PNG or JPEG files, got .*00.png"):
        folders.folder(str(files), resize=images.fit(2))


def test_every_file_that_cannot_be_read_is_named(files):
    for i in range(0, 20, 2):
        path = files / "a" / f"{i:02}.png"
        path.write_bytes(path.read_bytes()[: 40 * (i > 8)])  # empty, or cut short
    mine = folders.folder(str(files / "b"), resize=images.fit(2))
    assert len(everything(mine.train)["x"]) == 9
    (files / "a" / "00.png").write_bytes((files / "b" / "01.png").read_bytes())
    mine = folders.folder(str(files), resize=images.fit(2))
    with pytest.raises(ValueError, match=r"02.png, .*10.png and 3 more; remove"):
        everything(mine.train)


def save(path, pixels, **options):
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, **options)


def test_files_of_every_mode(tmp_path):
    """Grey, 16 bits, transparent, of a palette, turned; sizes and suffixes mixed."""
    grey = np.full((6, 9), 100, np.uint8)
    save(tmp_path / "0.png", grey)
    save(tmp_path / "a" / "1.png", (grey.astype(np.uint16) << 8) + 7)
    clear = np.full((5, 5, 4), 30, np.uint8)
    clear[..., 3] = 0  # whatever is under it, nothing is seen of it
    save(tmp_path / "a" / "b.PNG", clear)
    PIL.Image.fromarray(grey).convert("P").save(tmp_path / "3.png", transparency=100)
    turned = np.zeros((40, 20, 3), np.uint8)
    turned[:20] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise to stand upright
    save(tmp_path / "4.jpeg", turned, exif=exif, quality=95)
    save(tmp_path / "5.JPG", grey)
    (tmp_path / "._5.JPG").write_bytes(b"what macOS puts into an archive")
    mine = folders.folder(str(tmp_path), resize=images.fit(4), held_out=7)
    train, test = everything(mine.train), everything(mine.test)
    assert len(train["x"]) == 5 and len(test["x"]) == 1
    flat = [[100] * 3, [255] * 3, [0] * 3, [100] * 3, [100] * 3, [255] * 3]
    found = np.concatenate([train["x"], test["x"]])
    names = ["0.png", "3.png", "4.jpeg", "5.JPG", "a/1.png", "a/b.PNG"]
    for name, x, want in zip(names, found, flat, strict=True):
        if name == "4.jpeg":
            assert x[:, 0].max() < 9 and x[:, -1].min() > 246
        else:
            np.testing.assert_allclose(x, np.broadcast_to(want, x.shape), atol=2)


@pytest.mark.parametrize("num, kept", [(2, 1), (3, 2), (9, 8), (10, 9), (11, 10)])
def test_a_few_files_are_enough(tmp_path, num, kept):
    for i in range(num):
        save(tmp_path / f"{i:02}.png", np.full((4, 4, 3), i, np.uint8))
    mine = folders.folder(str(tmp_path), resize=images.fit(4))
    assert (mine.train.num, mine.test.num) == (kept, num - kept)
    levels = [everything(split)["x"][:, 0, 0, 0] for split in (mine.train, mine.test)]
    assert sorted(np.concatenate(levels)) == list(range(num))


def test_one_file_is_not_enough(tmp_path):
    save(tmp_path / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match="two at least, got 1; give their"):
        folders.folder(str(tmp_path), resize=images.fit(4))


def test_classes_are_the_folders(files):
    mine = folders.folder(str(files), resize=images.fit(4))
    assert mine.classes == 2 == everything(mine.train)["label"].max() + 1


def test_in_memory_reads_each_example_once_and_only_when_asked():
    asked = []

    def read(indices):
        asked.extend(indices.tolist())
        return {"x": 10 * indices, "label": indices % 3}

    kept = dataset.in_memory(dataset.Source(8, read))
    assert asked == []
    for places in ([5, 1, 5], [1, 2], [2, 5]):
        batch = kept.read(np.array(places))
        np.testing.assert_array_equal(batch["x"], 10 * np.array(places))
        np.testing.assert_array_equal(batch["label"], np.array(places) % 3)
    assert sorted(asked) == [1, 2, 5]
