"""The command line: train, sample, evaluate, report, list.

What is wrong is told in one line with the remedy, and the exit status is 2; nothing is
imported that the command does not need.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

EPILOG = """\
examples:
  diffjax train experiments/ddpm_digits.py --workdir runs/digits
  diffjax train experiments/ddpm_digits.py --workdir runs/b --config.batch_size=64 \\
      --config.optimizer.learning_rate=1e-3
  diffjax train experiments/iwae_mnist.py --workdir runs/iwae --from runs/vae_mnist
  diffjax sample runs/digits --num 64
  diffjax sample runs/digits --num 64 --steps 50 --sampler ddim
  diffjax sample runs/classes --num 64 --label 3 --guidance 2.0
  diffjax sample runs/text --infill "the ____ of the ________"
  diffjax evaluate runs/digits
  diffjax evaluate runs/digits --samples 1000
  diffjax evaluate runs/vae_mnist --split test --importance-samples 500
  diffjax report runs/*
  diffjax report runs/* --html report.html

The train command goes on by itself where an earlier one in the same --workdir was
stopped. On a TPU pod slice start it on every host; under SLURM start it with srun.
"""


def main(argv: Sequence[str] | None = None) -> int:
    r"""Run a command.

        0 done or stopped on request, 1 failed, 2 the user can correct it

    Args: argv: words after "diffjax", those of the process if None.
    Returns: the exit status (no unit).
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    stray = [word for word in rest if not word.startswith("--config.")]
    if stray or (rest and args.command != "train"):
        parser.error(
            f"expected a known option, got {(stray or rest)[0]}; see diffjax "
            f"{args.command} --help"
        )
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        _run(args, rest)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if args.debug:
            raise
        print(f"diffjax: {_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | OSError | ImportError) else 1
    return 0


def _run(args: argparse.Namespace, overrides: Sequence[str]) -> None:
    from diffjax.cli import commands, drawing, evaluating

    if args.command == "train":
        hosts = commands.Hosts(args.coordinator, args.hosts, args.host)
        commands.train(args.file, args.workdir, overrides, hosts, begin=args.begin)
    elif args.command == "sample":
        told = {"steps": args.steps, "step": args.sampler}
        told |= {"label": args.label, "guidance": args.guidance}
        told |= {"infill": args.infill}
        wish = drawing.Wish(args.num, args.seed, args.chunk, told)
        if args.from_diffusers:
            drawing.sample_pretrained(args.from_diffusers, wish, args.out)
        else:
            drawing.sample(args.run, wish, args.out)
    elif args.command == "evaluate":
        wanted = evaluating.Wish(
            args.seed,
            args.batch_size,
            args.num,
            args.samples,
            args.features,
            args.split,
            args.importance_samples,
        )
        evaluating.evaluate(args.run, wanted)
    elif args.command == "report":
        commands.report(args.run, args.html)
    else:
        commands.listing()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "diffjax",
        description="Train, sample and evaluate models of the variational family.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--debug", action="store_true", default=argparse.SUPPRESS)
        return added

    _add_train(command("train", "train a configuration, or go on with a run"))
    _add_sample(command("sample", "draw from a run, or from a diffusers checkpoint"))
    _add_evaluate(command("evaluate", "the bound on log p(x) of the test split"))
    report = command("report", "the last metrics of runs, side by side")
    report.add_argument("run", nargs="+", metavar="DIR", help="directories of runs")
    report.add_argument("--html", metavar="FILE", help="write a page of all there is")
    command("list", "the names that a configuration can use, with their options")
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("file", metavar="FILE", help="Python file with get_config()")
    train.add_argument("--workdir", required=True, help="directory of the run")
    train.add_argument(
        "--from", dest="begin", metavar="DIR", help="begin with this run's parameters"
    )
    train.add_argument(
        "--config.A.B", metavar="VALUE", help="set config.a.b; any number of these"
    )
    train.add_argument("--coordinator", help="host:port of host 0, if not found")
    train.add_argument("--hosts", type=int, help="how many, with --coordinator")
    train.add_argument("--host", type=int, help="which is this, with --coordinator")


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("run", metavar="DIR", help="directory of the run")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument(
        "--batch-size", type=int, default=64, help="examples at once (64)"
    )
    evaluate.add_argument("--num", type=int, help="only the first so many examples")
    evaluate.add_argument(
        "--samples", type=int, help="so many against the data: Frechet distance, ..."
    )
    evaluate.add_argument("--split", help="of the data, not the configuration's")
    evaluate.add_argument(
        "--importance-samples", type=int, help="draws for -log p(x), of a vae or hvae"
    )
    evaluate.add_argument(
        "--features",
        metavar="FILE",
        help="not a classifier's, but of features(x) in a .py file, or of Inception, "
        "whose weights are in a .safetensors or .pth file",
    )


def _add_sample(sample: argparse.ArgumentParser) -> None:
    where = sample.add_mutually_exclusive_group(required=True)
    where.add_argument("run", nargs="?", metavar="DIR", help="directory of the run")
    where.add_argument("--from-diffusers", metavar="DIR", help="of a pipeline")
    sample.add_argument("--num", type=int, default=64, help="samples (64)")
    sample.add_argument("--seed", type=int, default=0, help="of all samples (0)")
    sample.add_argument("--chunk", type=int, default=256, help="drawn at once (256)")
    sample.add_argument("--steps", type=int, help="of the chain, all by default")
    sample.add_argument("--sampler", help="ancestral, ddim, dpm_solver_pp, heun, plms")
    sample.add_argument("--label", type=int, help="class, of a model of classes")
    sample.add_argument("--guidance", type=float, help="towards the class (1)")
    sample.add_argument("--infill", metavar="TEXT", help="to complete, _ for a letter")
    sample.add_argument("--out", help="directory to write to, DIR/samples by default")


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ValueError | OSError | RuntimeError | ImportError):
        return text
    return f"unexpected {type(error).__name__}: {text}; --debug shows where"
