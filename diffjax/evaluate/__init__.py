"""How good a trained model is: bounds over test sets, samples against data, text.

    bound:    seen = summary.update(seen, bound, ...), then summary.estimate(seen.elbo)
    samples:  frechet.distance, kid.distance, precision_recall.score, on features
    text:     text.unigram_entropy, text.distinct, text.spelling_rate

Features are any function x [B, ...] -> [B, F], an argument of `features.moments` and
`features.collect`. A classifier's last layer but one is such a function; so is
Inception, whose weights are not shipped: load them with a library that has them, pass

    lambda x: inception.apply(params, resized(x))        # pool3, [B, 2048]

From the command line the same goes into a file with a function of that name,

    def features(x):                                     # [B, H, W, C] in [0, 1]
        return inception.apply(params, resized(x))

    diffjax evaluate DIR --samples 50000 --features FILE

What comes of it is comparable to published numbers if the weights, the resizing and the
number of samples are theirs, so a `Record` keeps the features' name, n and the split.
"""

from diffjax.evaluate import (
    features,
    frechet,
    kid,
    moments,
    precision_recall,
    record,
    summary,
    text,
)
from diffjax.evaluate.moments import Moments
from diffjax.evaluate.record import Record

__all__ = [
    "Moments",
    "Record",
    "features",
    "frechet",
    "kid",
    "moments",
    "precision_recall",
    "record",
    "summary",
    "text",
]
