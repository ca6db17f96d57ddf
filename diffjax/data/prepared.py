"""What TFDS has on the disk: nothing is downloaded here."""

import logging
from typing import Any


def prepared(name: str, data_dir: str | None) -> Any:
    r"""A data set of TFDS that was prepared beforehand, as array_record.

        tfds.builder(name)

    Args: name: "cifar10", "imagenet_resized/32x32".  data_dir: where TFDS keeps data;
        else $TFDS_DATA_DIR or its own default.
    Returns: a builder, its `as_data_source` ready (no unit).
    """
    import tensorflow_datasets

    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)  # that nothing is there, is said below in one line
    try:
        builder = tensorflow_datasets.builder(
            name, data_dir=data_dir, file_format="array_record", try_gcs=False
        )
    except (tensorflow_datasets.core.DatasetNotFoundError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"expected a data set of TFDS or a built-in one, got {name!r}: {reason}"
        ) from error
    finally:
        log.setLevel(level)
    if not builder.is_prepared():
        raise FileNotFoundError(
            f"expected {name} below {builder.data_dir}, got nothing; set data_dir, or "
            'download it: python -c "import tensorflow_datasets as tfds; tfds.builder('
            f"'{name}', file_format='array_record').download_and_prepare()\""
        )
    return builder
