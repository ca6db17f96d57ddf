"""The digits, written once for all tests."""

import pytest

from diffjax.data import images


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    return images.digits(data_dir=str(tmp_path_factory.mktemp("tfds")))
