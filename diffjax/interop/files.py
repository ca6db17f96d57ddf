"""Reading what may be damaged, and writing so that nothing is ever half written."""

import contextlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

Tensors = dict[str, np.ndarray]
"""Key -> tensor, the state dict of a checkpoint."""


def read_config(path: Path) -> dict[str, Any]:
    r"""A configuration file.

        key: value, ...

    Args: path: of a JSON file that holds one object.
    Returns: dict, key -> value (no unit).
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"expected {path.name} in {path.parent}, got {_listing(path.parent)}"
        )
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"expected JSON in {path}, got {error}; copy the file anew"
        ) from error
    if not isinstance(config, dict):
        raise ValueError(
            f"expected an object {{...}} in {path}, got a {type(config).__name__}"
        )
    return config


def read_tensors(directory: Path, stem: str) -> Tensors:
    r"""The weights of a directory, from safetensors if there, else from a pickle.

        stem.safetensors, stem.bin

    Args: directory: where they are.  stem: of the file's name.
    Returns: key -> array [...].
    """
    readers = {".safetensors": read_safetensors, ".bin": read_pickle}
    for suffix, read in readers.items():
        if (path := directory / f"{stem}{suffix}").is_file():
            return read(path)
    raise FileNotFoundError(
        f"expected {stem}.safetensors or {stem}.bin in {directory}, got "
        f"{_listing(directory)}; sharded weights must be merged first"
    )


def read_safetensors(path: Path) -> Tensors:
    r"""The tensors of a safetensors file; needs no torch.

        length of header, header (JSON), data

    Args: path: of the file.
    Returns: key -> array [...].
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise _missing("safetensors") from error
    try:
        return dict(load_file(path))
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"expected a whole safetensors file, got {path} with: {error}; "
            "copy the file anew"
        ) from error


def read_pickle(path: Path) -> Tensors:
    r"""The tensors of a file of `torch.save`; needs torch, and never runs its code.

        torch.load(path, weights_only=True)

    Args: path: of the file.
    Returns: key -> array [...].
    """
    try:
        import torch
    except ImportError as error:
        raise _missing("torch") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise ValueError(
            f"expected nothing but tensors in {path}, got {' '.join(reason)}; it was "
            "not loaded, since a pickle can run code: convert it to safetensors"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(
            f"expected a state dict in {path}, got a {type(state).__name__}"
        )
    is_tensor = {key: isinstance(value, torch.Tensor) for key, value in state.items()}
    if not all(is_tensor.values()):
        key = min(is_tensor, key=lambda key: is_tensor[key])
        raise ValueError(f"expected nothing but tensors in {path}, got {key!r}")
    return {key: _array(torch, value) for key, value in state.items()}


def write_all(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    r"""Write several files: each appears whole or not at all.

        write every temporary file, then rename them one after the other

    Args: writers: path -> a function that writes to the path it is given.
    Returns: nothing (no unit).
    """
    with contextlib.ExitStack() as stack:
        written = {}
        for path, write in writers.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            stack.callback(Path(name).unlink, missing_ok=True)
            write(Path(name))
            os.chmod(name, 0o666 & ~_umask())
            written[path] = name
        for path, name in written.items():
            os.replace(name, path)


def write_config(config: Mapping[str, Any], path: Path) -> None:
    r"""Write a configuration file.

        key: value, ...

    Args: config: JSON values.  path: of the file.
    Returns: nothing (no unit).
    """
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_safetensors(tensors: Tensors, path: Path) -> None:
    r"""Write a safetensors file that torch's libraries accept.

        length of header, header (JSON), data

    Args: tensors: key -> array.  path: of the file.
    Returns: nothing (no unit).
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise _missing("safetensors") from error
    whole = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    save_file(whole, path, metadata={"format": "pt"})


def _array(torch: Any, tensor: Any) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # NumPy has none of its own
        return tensor.view(torch.int16).numpy().view(jnp.bfloat16)
    return tensor.numpy()


def _missing(package: str) -> ImportError:
    extra = "diffjax[interop]" if package == "safetensors" else package
    return ImportError(
        f"expected {package} to be installed for this file, got none; "
        f'pip install "{extra}"'
    )


def _listing(directory: Path) -> str:
    if not directory.is_dir():
        return "no such directory"
    return ", ".join(sorted(p.name for p in directory.iterdir())) or "an empty one"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
