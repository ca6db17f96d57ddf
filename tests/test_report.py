"""The page of a report, from run directories made by hand; what evaluate keeps."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import jax
import numpy as np
import PIL.Image
import pytest

from diffjax import build
from diffjax.cli import bounds, charts, forward, main, numbers, page, runs, table
from diffjax.evaluate import Record, record

VOID = {"meta", "img", "wbr"}
LOSSES = [4.0, None, 1.0]


class Page(HTMLParser):
    """Tags in order, attributes and text; raises on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, kind=None):
        return [
            a
            for t, a in self.tags
            if t == tag and (kind is None or kind in a.get("class", "").split())
        ]


def picture(path, *greys):
    first, *rest = (PIL.Image.new("L", (4, 4), grey) for grey in greys)
    moving = {"save_all": True, "append_images": rest} if rest else {}
    first.save(path, **moving)


def make(folder, model, evaluation=None, *, transforms=("symmetric",)):
    (folder / "samples").mkdir(parents=True)
    config = {"model": model, "data": {"name": "digits", "transforms": transforms}}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [{"step": 10 * (i + 1), "loss": loss} for i, loss in enumerate(LOSSES)]
    lines = [json.dumps(row) for row in [*rows, {"step": 30, "eval_loss": 2.0}]]
    (folder / "metrics.jsonl").write_text("\n".join([*lines, '{"cut sho']))
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def evaluated(rate, distortion, divergences, **more):
    def nats(value):
        return {"mean": value, "se": 0.5, "unit": "nats"}

    return {
        "dims": 64,
        "parameters": 1234567,
        "bits/dim": {"mean": (rate + distortion) / 44.4, "se": 0.0123},
        "rate": nats(rate),
        "distortion": nats(distortion),
        "prior": nats(1.5),
        "divergences": {"mean": divergences, "se": [0.1] * len(divergences)},
        **more,
    }


def test_a_run_trained_on_since_says_what_was_evaluated(tmp_path):
    for name, step in (("old", 20), ("new", 30)):
        make(tmp_path / name, {"name": "vae"}, evaluated(1.0, 9.0, [], step=step))
    text = table.text(page.shown.read([str(tmp_path / n) for n in ("old", "new")]))
    assert "old (evaluated at step 20 of 30) " in text
    assert re.search(r"^new +1,234,567", text, re.MULTILINE)


@pytest.fixture
def three(tmp_path):
    """A diffusion with pictures, a hierarchy, and codes of text."""
    ddpm = make(
        tmp_path / "ddpm_<b>", {"name": "ddpm"}, evaluated(60.0, 20.0, [3.0, 2.0, 1.0])
    )
    picture(ddpm / "samples" / "step_00000020.png", 20)
    picture(ddpm / "samples" / "step_00000030.png", 30)
    picture(ddpm / "samples" / "samples.gif", *range(0, 200, 10))
    records = [Record("Frechet", 3.25, None, 99, "test", "classifier")]
    record.save(ddpm / "scores.jsonl", records)
    hvae = make(
        tmp_path / "hvae",
        {"name": "hvae", "likelihood": "bernoulli"},
        evaluated(10.0, 30.0, [4.0, 6.0]),
        transforms=("binarize",),
    )
    codes = {"perplexity": 2.5, "used": 0.75, "counts": [0, 6, 1, 3]}
    text = make(
        tmp_path / "text", {"name": "vqvae"}, evaluated(1.0, 9.0, [], codes=codes)
    )
    told = "one & two\nthree\n\nHow the first one came to be:\n___\non_\none\n"
    (text / "samples" / "samples.txt").write_text(told)
    return [str(folder) for folder in (ddpm, hvae, text)]


@pytest.fixture
def made(three, tmp_path):
    assert (
        main(["report", *three, "--html", str(tmp_path / "new" / "report.html")]) == 0
    )
    raw = (tmp_path / "new" / "report.html").read_bytes()
    return raw.decode("ascii"), Page(raw.decode("ascii"))


def grey(source):
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))[0, 0]


def test_the_page_needs_nothing_else(made):
    raw, tree = made
    assert not tree.all("script") and not tree.all("link")
    assert "http" not in raw and "url(" not in raw and "@import" not in raw
    for _, attributes in tree.tags:
        assert "href" not in attributes
        assert "src" not in attributes or attributes["src"].startswith("data:image/png")
    assert "prefers-color-scheme: dark" in raw and "width=device-width" in raw


def test_the_table_has_a_line_for_each_run(made):
    _, tree = made
    text = " ".join("".join(tree.text).split())
    assert len(tree.all("tr")) == 4
    for told in ("1,234,567", "1.802 ± 0.012", "3.25", "ddpm_<b>", "one & two"):
        assert told in text
    assert tree.all("td", "none")  # no Frechet distance of the other two


def test_code_lengths_are_shown_where_they_compare(made):
    """80 nats fill the bar, 10 an eighth of it; the bits of the third are apart."""
    _, tree = made
    widths = [
        float(attributes["style"].removeprefix("width:").removesuffix("%"))
        for attributes in tree.all("i")
        if "style" in attributes
    ]
    np.testing.assert_allclose(widths, [75, 25, 1.25, 11.25, 25, 75])
    assert "digits, D = 64" in tree.text and "digits, binarize, D = 64" in tree.text


def test_pictures_are_the_newest_and_the_chain_in_order(made):
    _, tree = made
    greys = [int(grey(image["src"])) for image in tree.all("img")]
    assert greys[0] == 30
    assert len(greys) == 9 and greys[1] == 0 and greys[-1] == 190
    assert greys[1:] == sorted(greys[1:])
    assert "___\n\non_\n\none" in tree.text


def test_what_diffjax_sample_drew_goes_first(three, tmp_path):
    picture(tmp_path / "ddpm_<b>" / "samples" / "samples.png", 77)
    [run, *_] = page.shown.read(three)
    assert grey("data:image/png;base64," + base64.b64encode(run.picture).decode()) == 77


def test_charts_of_each_run(made):
    """Three losses; a line of the bound, bars of the layers and of the codes."""
    raw, tree = made
    assert len(tree.all("svg")) == 3 + 1 + 1 + 1
    assert len(tree.all("path", "band")) == 1
    assert len(tree.all("rect")) == 3 + 4
    assert "t = 2..4; at t = 1, the distortion, 20, and the prior term 1.5." in raw
    assert "75% of 4 used, perplexity 2.5." in raw
    shares = [float(s) for s in re.findall(r"<title>\d: ([\d.]+)</title>", raw)]
    assert shares == [4, 6, 1.5, 60, 30, 10, 0]


def test_a_run_without_anything_but_metrics(tmp_path):
    folder = make(tmp_path / "run", {"name": "d3pm", "transitions": "uniform"})
    tree = Page(page.html(page.shown.read([str(folder)])))
    assert "d3pm uniform" in tree.text
    assert len(tree.all("svg")) == 1 and not tree.all("img")


def test_an_autoencoder_has_an_error_and_no_code_length(tmp_path):
    error = {"mean": 0.0567, "se": 0.0012, "unit": "squared, each"}
    found = {"dims": 64, "parameters": 10, "reconstruction error": error}
    folder = make(tmp_path / "run", {"name": "ae"}, found)
    tree = Page(page.html(page.shown.read([str(folder)])))
    assert "reconstruction error, squared, each" in tree.text
    assert "0.0567 ± 0.0012" in tree.text
    assert not tree.all("div", "track")


def test_runs_of_one_name_keep_their_paths(tmp_path):
    folders = [str(make(tmp_path / name / "run", {"name": "vae"})) for name in "ab"]
    assert [run.name for run in page.shown.read(folders)] == folders


def test_the_page_of_last_time_is_no_run(three, tmp_path, capsys):
    out = str(tmp_path / "report.html")
    for _ in range(2):
        assert main(["report", *three, out, "--html", out]) == 0
    assert f"wrote {out}" in capsys.readouterr().out


def svg(text):
    tree = Page(text)
    return [re.findall(r"[\d.]+", a["d"]) for a in tree.all("path", "line")], tree


def test_a_line_goes_through_its_points():
    """The upper end 10 is at 1.05 of the axis, from 0; a gap where y is NaN."""
    y = np.array([0.0, np.nan, 10.0, 5.0])
    line = charts.Line("y", np.array([1.0, 2.0, 3.0, 5.0]), y)
    paths, tree = svg(charts.lines("a <title>", [line], x_label="x"))
    floor = charts.HEIGHT - charts.BOTTOM
    height = floor - charts.TOP
    width = charts.WIDTH - charts.LEFT - charts.RIGHT
    first, second = (np.array(path, float).reshape(-1, 2) for path in paths)
    np.testing.assert_allclose(first, [[charts.LEFT, floor]], atol=0.06)
    wanted = [
        [charts.LEFT + width / 2, floor - height / 1.05],
        [charts.LEFT + width, floor - height / 2.1],
    ]
    np.testing.assert_allclose(second, wanted, atol=0.06)
    assert len(tree.all("circle")) == 1  # a point alone is no line


def test_a_wide_range_is_logarithmic():
    """Equal factors are equal steps."""
    y = np.array([1e-3, 1e-1, 1e1])
    paths, tree = svg(charts.lines("y", [charts.Line("y", y, y)], x_label="x"))
    heights = np.array(paths[0], float).reshape(-1, 2)[:, 1]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.11)
    assert "0.001" in tree.text and "10" in tree.text


def test_long_lines_are_averaged():
    x = np.arange(4800.0)
    paths, _ = svg(charts.lines("x", [charts.Line("x", x, x % 2)], x_label="x"))
    heights = np.array(paths[0], float).reshape(-1, 2)[:, 1]
    assert len(heights) == charts.POINTS and np.ptp(heights) == 0


@pytest.mark.parametrize(
    "y", [[np.nan], [0.0], [5.0, 5.0], [-3.0, 2.0], [1e-9, 1e9], [0.0, 1e-30]]
)
def test_any_line_can_be_drawn(y):
    x = np.arange(len(y), dtype=float)
    text = charts.lines("y", [charts.Line("y", x, np.array(y))], x_label="x")
    assert "nan" not in text and "inf" not in text


def test_bars_stand_on_zero():
    text = charts.bars(
        "b", np.array([1.0, 4.0]), labels=["1", "2"], x_label="x", level=2.0
    )
    tree = Page(text)
    one, four = (float(a["height"]) for a in tree.all("rect"))
    assert four == pytest.approx(4 * one, rel=1e-2)
    floor = charts.HEIGHT - charts.BOTTOM
    level = float(tree.all("line", "level")[0]["y1"])
    assert floor - level == pytest.approx(2 * one, rel=1e-2)
    assert charts.bars("b", np.zeros(2), labels=["", ""], x_label="x")


@pytest.mark.parametrize(
    "value, error, told",
    [
        (3.14159, 0.0123, "3.142 ± 0.012"),
        (3.14159, None, "3.142"),
        (31415.9, 200.0, "31416 ± 200"),
        (1.2e-6, 4.91e-8, "1.2e-6 ± 4.9e-8"),
        (float("inf"), float("nan"), "∞"),
        (None, None, "–"),
        (2.0, 0.0, "2"),
    ],
)
def test_numbers_with_errors(value, error, told):
    assert numbers.with_error(value, error) == told


def test_mistakes_are_told_in_one_line(three, tmp_path, capsys):
    def told(*words):
        assert main(["report", *words]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    out = tmp_path / "report.html"
    html = ["--html", str(out)]
    assert "expected a file for --html, got the directory" in told(
        *three, "--html", str(tmp_path)
    )
    ddpm, hvae, text = (tmp_path / name for name in ("ddpm_<b>", "hvae", "text"))
    (ddpm / "samples" / "step_00000030.png").write_bytes(b"\x89PNG cut short")
    assert "expected a picture in " in told(*three, *html)
    (hvae / "evaluation.json").write_text("{")
    assert "run diffjax evaluate " in told(str(hvae), *html)
    (text / "config.json").unlink()
    assert "expected a run with config.json, got " in told(str(text), *html)
    assert not out.exists()


CODES = {
    "seed": 0,
    "steps": 1,
    "batch_size": 4,
    "log_every": 1,
    "eval_every": 0,
    "sample_every": 0,
    "checkpoint_every": 1,
    "model": {"name": "vqvae", "K": 5, "latent": 2, "likelihood": "bernoulli"},
    "net": {"name": "mlp", "widths": (4,), "positions": 3},
    "optimizer": {"name": "sgd", "learning_rate": 1.0},
    "ema": {},
    "devices": {"name": "mesh"},
}


def test_evaluate_counts_the_codes_of_each_example_once(digits_dir):
    """Seven examples in fours, two devices: 21 codes, those nearest to the encoder."""
    names = ("binarize", "flatten")
    data = {"name": "digits", "data_dir": digits_dir, "transforms": names}
    experiment = build.experiment({**CODES, "data": data})
    batch = build.data.first(experiment.data, batch_size=7)
    init = jax.jit(experiment.model.objective.init)
    params, memory = init(jax.random.key(0), batch)
    params = experiment.model.trained(params, memory)
    run = runs.Run(CODES, experiment, params, 0, averaged=params)
    *_, seen = bounds.over(run, 0, batch_size=4, num=7)
    assert int(seen.terms.elbo.num) == 7
    codes = jax.jit(experiment.model.coder.codes)(params, batch)
    assert codes.shape == (7, 3)
    wanted = np.bincount(np.asarray(codes).ravel(), minlength=5)
    np.testing.assert_array_equal(seen.counts, wanted)
    whole = jax.jit(experiment.model.bound)(params, jax.random.key(0), batch)
    found = bounds.estimates(seen, 64)
    wanted = -np.mean(np.asarray(whole.elbo, np.float64))
    assert found["-elbo"][0].mean == pytest.approx(wanted, rel=1e-6)
    told = build.latents.usage(np.asarray(seen.counts))
    p = np.array(told["counts"]) / 21
    entropy = -sum(q * np.log(q) for q in p if q)
    assert told["perplexity"] == pytest.approx(np.exp(entropy), rel=1e-5)
    assert told["used"] == pytest.approx(np.mean(p > 0))


def test_learning_by_heart_is_a_line_and_a_row(tmp_path):
    """log2(4096) / 4 = 3 bits/dim, half of the longest bar; of bits anew, none."""
    found = evaluated(10.0, 20.0, []) | {"dims": 4, "train": 4096}
    bits = {"bits/dim": {"mean": 6.0, "se": 0.1}}
    runs = [
        make(tmp_path / "a", {"name": "vae"}, found | bits),
        make(tmp_path / "b", {"name": "vae"}, found, transforms=("binarize",)),
    ]
    for run in runs:
        floor = [Record("Frechet", 0.5, None, 9, "train", "pixels")]
        record.save(run / "floor.jsonl", floor)
    tree = Page(page.html(page.shown.read(list(map(str, runs)))))
    [line] = [a for a in tree.all("i", "floor") if "style" in a]
    assert line["style"] == "left:50.00%"
    [row] = tree.all("tr", "floor")
    at = tree.text.index("training digits")
    assert tree.text[at:][:8] == ["training digits", *"––––", "3", "0.5", "\n"]


def test_the_forward_process_is_on_the_page(tmp_path):
    """Pictures at each t, and the matrices; of text, the letters."""
    folder = make(tmp_path / "run", {"name": "d3pm", "transitions": "uniform"})
    text = make(tmp_path / "text", {"name": "d3pm", "transitions": "absorbing"})
    ts = np.array([0, 5])
    seen = forward.Forward(
        ts,
        np.full((2, 1, 4, 4, 1), [[[[[9]]]], [[[[77]]]]], np.uint8),
        np.array([], str),
        np.array([np.eye(3), np.full((3, 3), 1 / 3)]),
    )
    np.savez(folder / forward.NAME, **seen._asdict())
    told = seen._replace(
        tiles=np.zeros((2, 0, 0, 0, 1), np.uint8), pieces=np.array(["a <b", "_ <_"])
    )
    np.savez(text / forward.NAME, **told._asdict())
    tree = Page(page.html(page.shown.read([str(folder), str(text)])))
    greys = [int(grey(each["src"])) for each in tree.all("img")]
    assert greys[:2] == [9, 77] and len(greys) == 2 + 2 + 2
    assert greys[2] < 100 < greys[3] < 255  # the corner of the identity is dark
    assert "t = 0  a <b\nt = 5  _ <_" in tree.text


def test_a_table_for_a_terminal(three, tmp_path):
    """A table for each data set, whose numbers end in one column."""
    found = evaluated(1.0, 2.0, [])
    other = make(tmp_path / "other", {"name": "vae"}, found)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**config, "data": {"name": "letters"}})
    )
    told = table.text(page.shown.read([*three, str(other)]))
    digits, letters = told.split("\n\n")
    assert [line.split()[0] for line in digits.splitlines()[2:]] == [
        "ddpm_<b>",
        "hvae",
        "text",
    ]
    head, rule, row = letters.splitlines()
    assert len(rule) == len(row) == len(head) and row.startswith("other")
    assert "Frechet" in digits and "Frechet" not in letters
    assert "bits/char" in digits and "bits/dim" in letters  # one of them has text
    assert "loss" not in letters  # it was evaluated


def test_losses_are_told_of_what_was_not_evaluated(tmp_path):
    folder = make(tmp_path / "run", {"name": "vae"})
    told = table.text(page.shown.read([str(folder)]))
    assert "test loss" in told and "rate" not in told
