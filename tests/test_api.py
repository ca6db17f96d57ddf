"""The house style as tests: names, argument order, documentation, budgets."""

import ast
import importlib
import inspect
import pkgutil
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import diffjax

ROOT = Path(diffjax.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

WITH_KEYS = ["init*", "loss", "*_loss", "bound", "sample", "trajectory", "inpaint"]
"""Functions of a chapter that draw random numbers; with two rooms of them:"""
WITH_KEYS += ["noisy_batch", "start"]
WITH_KEYS += ["cross_entropy", "keys_and_times", "masked_batch", "first_hitting"]
WITH_KEYS += ["log_weights", "repeat", "standard_noise"]
WITH_KEYS += ["keys", "reveal", "draw", "draw_alike"]  # noise too large to be given
WITH_KEYS += ["nll", "draw_*", "latent_noise"]
WITH_KEYS += ["restart", "no_restart"]
WITH_KEYS += ["train", "eval_step", "example_keys", "masked"]
WITH_KEYS += ["batches", "test_batches"]
ORDER = [
    {"net", "denoise", "encode", "decode", "data"},
    {"schedule", "transitions", "gamma"},
    {"rng"},
    {"x", "x_0", "x_t", "x_s", "x_0_hat", "shape", "batch", "known", "mask"},
    {"t"},
]
"""Who comes first: the model, the process, the key, the data, the time."""
POSITIONAL_DEFAULTS = {
    "diffjax.cli.main": {"argv"},
    "diffjax.core.checks.step": {"s"},
    "diffjax.d3pm.samplers.argmax_last": {"predict"},
    "diffjax.ddpm.continuous.linear_gamma": {"gamma_min", "gamma_max"},
    "diffjax.ddpm.samplers.ddim": {"eta"},
    "diffjax.ddpm.weights.min_snr": {"gamma"},
}
WITHOUT_FORMULA = ["diffjax.core.checks.*", "diffjax.d3pm.transitions.inputs.*"]
WITHOUT_FORMULA += [
    f"diffjax.core.categorical.{n}" for n in ("mask", "tokens", "without")
]
"""Guards state their condition in the sentence."""
CLAMPED = {"discretized_gaussian_tanh", "published_logistic"}
"""The published codes' 1e-12 and 1e-6, for parity with their numbers only."""

SIGNATURES = {
    "core.schedules": """
        linear(T, *, beta_min=1e-4, beta_max=0.02)  rescaled_linear(T)
        cosine(T, *, s=0.008, max_beta=0.999)       cosine_d3pm(T)
        quadratic(T)  sigmoid(T)  constant(T, *, beta)  inverse(T)
        from_betas(betas)  respace(schedule, ts)  respace_steps(T, spec)
        Schedule(beta, alpha_bar, one_minus_alpha_bar)""",
    "core.gaussian": """
        log_prob(x, mean, log_var)  kl(mean_q, log_var_q, mean_p, log_var_p)
        kl_standard(mean, log_var)  kl_full(mean_q, cov_q, mean_p, cov_p)""",
    "core.categorical": "kl(logits_q, logits_p)  log_prob(x, logits)  entropy(logits)",
    "core.likelihoods": """
        bernoulli(x, logits)  categorical(x, logits)
        discretized_gaussian(x, mean, log_scale, *, levels=256)
        discretized_gaussian_tanh(x, mean, log_scale, *, levels=256)
        discretized_logistic(x, mean, log_scale, *, levels=256)
        discretized_logistic_mixture(x, params, *, levels=256)""",
    "core.bounds": """
        Bound(reconstruction, divergences, prior)
        bits_per_dim(nats, num_dims)  importance_bound(log_w)""",
    "ddpm": """
        diffuse(schedule, x_0, eps, t)  marginal(schedule, x_0, t)
        posterior(schedule, x_0, x_t, t, *, s=None)
        simple_loss(denoise, schedule, rng, x_0)
        bound(denoise, schedule, rng, x_0, *, variance, decoder)
        sample(denoise, schedule, rng, shape, *, step, ts=None)
        ancestral(denoise, schedule, x_t, t, s, eps, memory)
        heun(denoise, schedule, x_t, t, s, eps, memory)
        plms(denoise, schedule, x_t, t, s, eps, memory)
        small(schedule, x_t, t, s)  large(schedule, x_t, t, s)
        ancestral_with(variance)  ddim(eta)  dpm_solver_pp(order)""",
    "ddpm.predict": """
        x_0_from_eps(schedule, x_t, eps, t)    eps_from_x_0(schedule, x_t, x_0, t)
        v_from_x_0(schedule, x_t, x_0, t)      x_0_from_v(schedule, x_t, v, t)
        score_from_eps(schedule, x_t, eps, t)  mean_from_eps(schedule, x_t, eps, t)
        denoiser_from_eps(schedule, f)         denoiser_from_v(schedule, f)
        denoiser_from_score(schedule, f)""",
    "d3pm.transitions": """
        uniform(betas, K)  absorbing(betas, K, *, mask)  marginal(betas, pi)
        gaussian(betas, K)  banded(betas, K, *, width)
        nearest(embeddings, betas, *, neighbours)  mixture(a, b, weights)
        from_matrices(Q)""",
    "d3pm": """
        marginal_logits(transitions, x_0, t)
        posterior_logits(transitions, x_0, x_t, t, *, s=None)
        bound(denoise, transitions, rng, x_0, *, predict)
        vb_loss(denoise, transitions, rng, x_0)
        hybrid_loss(denoise, transitions, rng, x_0)
        cross_entropy(denoise, transitions, rng, x_0)
        sample(denoise, transitions, rng, shape, *, ts=None, predict)""",
    "d3pm.predict": """
        joint(transitions, x_0_logits, x_t, t, *, s=None)
        posterior_mean(transitions, x_0_logits, x_t, t, *, s=None)
        truncated_logistic(mean, log_scale, K)""",
    "vq": """
        quantize(codebook, z)  straight_through(z, z_q)  ema_init(codebook)
        ema_update(state, z, codes, *, decay, axis_name=None)  fsq(z, levels)""",
    "types": "Objective(init, loss)",
    "vae": "bound(encode, decode, rng, x, *, likelihood)",
}
"""Design, section 5: what independent checks call. Options may be added to these."""


def modules():
    found = pkgutil.walk_packages(diffjax.__path__, "diffjax.")
    names = [m.name for m in found if not m.name.endswith("__main__")]
    return [diffjax, *map(importlib.import_module, names)]


def public(kind):
    """Full name -> every public object of this kind, where it is defined."""
    return {
        f"{module.__name__}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if kind(value) and value.__module__ == module.__name__ and name[0] != "_"
    }


FUNCTIONS = public(inspect.isfunction)
CLASSES = public(inspect.isclass)
METHODS = {
    f"{name}.{key}": getattr(value, "fget", value)
    for name, owner in CLASSES.items()
    for key, value in vars(owner).items()
    if key[0] != "_" and (inspect.isfunction(value) or isinstance(value, property))
}


def definitions(path):
    """Every `def` of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}: {node.name}", node


def report(violations):
    violations = sorted(violations)
    assert not violations, "\n" + "\n".join(violations)


def section(function, title):
    """The text under "Args:" or "Returns:" in a docstring."""
    doc = inspect.getdoc(function) or ""
    after = re.split(rf"^{title}:", doc, flags=re.M)[1:]
    return re.split(r"^Returns:", after[0], flags=re.M)[0] if after else ""


def parameters(function):
    return inspect.signature(function).parameters


def test_the_walk_sees_the_library():
    assert "diffjax.core.gaussian.kl" in FUNCTIONS
    assert "diffjax.core.bounds.Bound.elbo" in METHODS


@pytest.mark.parametrize("module", SIGNATURES)
def test_names_that_others_rely_on(module):
    home = importlib.import_module(f"diffjax.{module}")
    for text in re.findall(r"\w+\([^)]*\)", SIGNATURES[module]):
        wanted = ast.parse(f"def {text}: ...").body[0]
        given = parameters(getattr(home, wanted.name))
        positional = [p.name for p in given.values() if p.kind != p.KEYWORD_ONLY]
        assert positional == [a.arg for a in wanted.args.args], text
        options = zip(wanted.args.kwonlyargs, wanted.args.kw_defaults, strict=True)
        for option, default in options:
            assert option.arg in given, f"{text} has no option {option.arg}"
            if default is not None:
                assert given[option.arg].default == ast.literal_eval(default), text


def test_keys_live_at_the_edge():
    """rng only where something is drawn; in the core only in chain.py and noise.py."""

    def allowed(name):
        if name.startswith("diffjax.core."):
            return name.startswith(("diffjax.core.chain.", "diffjax.core.noise."))
        if name.startswith("diffjax.data."):  # NumPy's generators and seeds
            return True
        return any(fnmatch(name.split(".")[-1], pattern) for pattern in WITH_KEYS)

    drawing = {n for n, f in FUNCTIONS.items() if "rng" in parameters(f)}
    report(f"{name} takes rng" for name in drawing if not allowed(name))


def test_the_core_draws_nothing_but_in_chain_and_noise():
    report(
        f"{path.name}:{node.lineno} uses jax.random"
        for path in (ROOT / "core").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "jax.random"
        if path.name not in ("chain.py", "noise.py")
    )


def test_a_key_is_called_rng():
    report(
        f"{name}({arg})"
        for name, function in FUNCTIONS.items()
        if not name.startswith("diffjax.cli.")  # there a seed is a number, --seed
        for arg in {"key", "seed", "rng_key", "prng_key"} & set(parameters(function))
    )


def test_argument_order():
    """The model before the process, the process before the key, the key before data."""
    ranks = {name: rank for rank, names in enumerate(ORDER) for name in names}

    def in_order(function):
        positional = [
            p.name for p in parameters(function).values() if p.kind != p.KEYWORD_ONLY
        ]
        found = [ranks[name] for name in positional if name in ranks]
        return found == sorted(found)

    report(
        f"{name}{inspect.signature(f)}"
        for name, f in FUNCTIONS.items()
        if not in_order(f)
    )


def test_options_are_keyword_only():
    found = {
        name: {
            p.name
            for p in parameters(function).values()
            if p.default is not p.empty and p.kind != p.KEYWORD_ONLY
        }
        for name, function in FUNCTIONS.items()
    }
    assert {name: args for name, args in found.items() if args} == POSITIONAL_DEFAULTS


def test_no_kwargs():
    report(
        f"{name}(**{node.args.kwarg.arg})"
        for path in FILES
        for name, node in definitions(path)
        if node.args.kwarg and path.name != "build.py"
    )


def test_signatures_are_annotated():
    def gaps(function):
        signature = inspect.signature(function)
        given = {"return": signature.return_annotation} | {
            name: p.annotation for name, p in signature.parameters.items()
        }
        given.pop("self", None)
        return [name for name, note in given.items() if note is inspect.Signature.empty]

    named = (FUNCTIONS | METHODS).items()
    report(f"{name}: {arg}" for name, function in named for arg in gaps(function))


def test_every_public_thing_is_documented():
    documented = {m.__name__: m for m in modules()} | FUNCTIONS | CLASSES | METHODS
    report(name for name, thing in documented.items() if not inspect.getdoc(thing))


def test_every_function_shows_its_formula():
    """An indented line above Args and Returns."""

    def has_formula(function):
        text = re.split(
            r"^(?:Args|Returns):", inspect.getdoc(function) or "", flags=re.M
        )
        return re.search(r"^ {4}\S", text[0], re.M)

    exempt = [n for n in FUNCTIONS for p in WITHOUT_FORMULA if fnmatch(n, p)]
    report(n for n, f in FUNCTIONS.items() if not has_formula(f) and n not in exempt)


def test_every_argument_is_explained():
    """`Args:` names each one, or "as for `f`" sends to the function that does."""

    def explanation(name):
        text = section(FUNCTIONS[name], "Args")
        for other in re.findall(r"\bas\s+for\s+`([\w.]+)`", text):
            near, far = f"{FUNCTIONS[name].__module__}.{other}", f".{other}"
            found = [near] * (near in FUNCTIONS) or [
                n for n in FUNCTIONS if n.endswith(far)
            ]
            text += "".join(map(explanation, found))
        return text

    report(
        f"{name}: {arg}"
        for name, function in FUNCTIONS.items()
        for arg in parameters(function)
        if not re.search(rf"\b{arg}\b", explanation(name))
    )


def test_every_result_has_a_shape_or_a_unit():
    shape_or_unit = re.compile(
        r"\[[^\]]*\]|\bnats\b|\bbits\b|\(no unit\)|units?\b|\bvariance"
        r"|\bcategory ind|\blogits\b|\bfamily\b|\blog probabilities\b|\bkeys?\b"
    )
    described = {  # a class may say it instead
        name.split(".")[-1] for name, c in CLASSES.items() if inspect.getdoc(c)
    }

    def is_told(text):
        return shape_or_unit.search(text) or described & set(re.findall(r"\w+", text))

    report(n for n, f in FUNCTIONS.items() if not is_told(section(f, "Returns")))


def test_every_field_is_explained():
    report(
        f"{name}: {field}"
        for name, owner in CLASSES.items()
        for field in getattr(owner, "_fields", ())
        if not re.search(rf"\b{field}\b", owner.__doc__)
    )


def test_exports_exist():
    report(
        f"{module.__name__}.{name}"
        for module in modules()
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    )


def test_budgets():
    """Files of at most 300 lines, bodies of at most 35 without their docstring."""

    def body(node):
        told = ast.get_docstring(node) is not None
        start = node.body[1].lineno if told and node.body[1:] else node.body[0].lineno
        return node.end_lineno - start + 1

    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    long = [f"{path.name}: {n} lines" for path, n in lengths.items() if n > 300]
    bodies = {n: body(node) for path in FILES for n, node in definitions(path)}
    report(long + [f"{name}: body of {n}" for name, n in bodies.items() if n > 35])
    assert lengths[ROOT / "__init__.py"] <= 25


def test_no_epsilons():
    """No 1e-6 added to, or put under, anything: zeros are structural."""

    def tiny(node):
        value = node.value if isinstance(node, ast.Constant) else None
        return isinstance(value, float) and 0 < abs(value) < 1e-4

    def hides_a_zero(node):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            return tiny(node.left) or tiny(node.right)
        guards = {"maximum", "clip", "max", "where"}
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in guards
        ):
            return any(map(tiny, [*node.args, *(k.value for k in node.keywords)]))
        return False

    report(
        f"{name}: {ast.unparse(node)}"
        for path in FILES
        for name, function in definitions(path)
        if function.name not in CLAMPED
        for node in ast.walk(function)
        if hides_a_zero(node)
    )
