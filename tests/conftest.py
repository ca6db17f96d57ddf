"""Strictness for every test: two devices, no silent broadcasting across ranks."""

import importlib.metadata
import os
import pathlib

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=2"
    # In two different orders, collectives of simulated devices wait for ever.
    + " --xla_cpu_enable_concurrency_optimized_scheduler=false"
)

# Compiling is most of what the tests cost: three times less of it without LLVM's
# optimizations and with XLA's older emitters. Tests that compute for longer than that
# are marked `optimized`; a newer jaxlib runs all of them as users do.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

# Programs are shared by the workers, and by the next run on this machine.
ROOT = pathlib.Path(__file__).parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


QUICKLY = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS", "0") not in ("0", "false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Compile the tests marked `optimized`, and their fixtures, as users do."""
    optimized = item.get_closest_marker("optimized") is not None
    jax.config.update("jax_disable_most_optimizations", QUICKLY and not optimized)
    return (yield)


@pytest.fixture
def x64():
    """Run a test in float64; schedules must be built inside it."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    """Where TFDS keeps the built-in digits, written once for all tests."""
    from diffjax.data import images

    path = str(tmp_path_factory.mktemp("tfds"))
    images.digits(data_dir=path)
    return path


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory):
    """Published sets by their own names, with a handful of examples each."""
    import fake_tfds

    path = str(tmp_path_factory.mktemp("published"))
    for name in fake_tfds.EXAMPLES:
        fake_tfds.write(name, path)
    return path


@pytest.fixture(scope="session")
def vocabulary(tfds_dir):
    """A vocabulary of the few sentences that `fake_tfds` calls lm1b."""
    from diffjax.data import subwords

    path = f"{tfds_dir}/tiny.model"
    subwords.train_vocabulary(path, K=24, data_dir=tfds_dir)
    return path
