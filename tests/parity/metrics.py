"""What scikit-learn makes of random predictions.

    metrics.py FILE.json    logits and labels of several cases, and every figure of them

Probabilities are computed in f64 from logits that are exact in f32. The expected calibration error,
which scikit-learn does not have, is written out after Guo et al. 2017 (arXiv:1706.04599), section 2.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

N_BINS = 15


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def calibration_error(confidence, right):
    """The mean over samples of |accuracy - mean confidence| of the sample's bin (low, high]."""
    edges = np.linspace(0, 1, N_BINS + 1)
    error = 0.0
    for low, high in zip(edges, edges[1:]):
        inside = (low < confidence) & (confidence <= high)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            error += inside.sum() / len(confidence) * gap
    return error


def numbers(values):
    """JSON has no word for an undefined figure but null."""
    return [None if np.isnan(value) else float(value) for value in values]


def case(seed, n_samples, n_classes, scale, labelled, predicted):
    """Labels from the classes `labelled`; those outside `predicted` are never predicted."""
    random = np.random.default_rng(seed)
    logits = (scale * random.standard_normal((n_samples, n_classes))).astype(np.float32)
    logits[:, [k for k in range(n_classes) if k not in predicted]] -= np.float32(6 * scale)
    labels = random.choice(labelled, n_samples)
    # Some of the predictions are right for a reason.
    helped = random.random(n_samples) < 0.4
    logits[helped, labels[helped]] += np.float32(2 * scale)

    classes = list(range(n_classes))
    probabilities = softmax(logits.astype(np.float64))
    guess = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, guess, labels=classes, zero_division=np.nan
    )
    with warnings.catch_warnings():
        # That five of at most five classes always hold the true one is what is compared.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        top5 = metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=classes)
    return {
        "n_classes": n_classes,
        "logits": logits.ravel().tolist(),
        "labels": labels.tolist(),
        "confusion": metrics.confusion_matrix(labels, guess, labels=classes).tolist(),
        "precision": numbers(precision),
        "recall": numbers(recall),
        "f1": numbers(f1),
        "support": support.tolist(),
        "top1": float(metrics.accuracy_score(labels, guess)),
        "top5": float(top5),
        "loss": float(metrics.log_loss(labels, probabilities, labels=classes)),
        "ece": float(calibration_error(probabilities.max(axis=1), guess == labels)),
    }


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    ten = list(range(10))
    cases = [
        case(0, 5000, 10, 1.0, ten, ten),
        case(1, 2000, 10, 2.0, ten, ten),
        case(2, 500, 10, 0.1, ten, ten),
        case(3, 700, 10, 1.0, [0, 2, 3, 9], ten),
        case(4, 700, 10, 1.0, ten, [1, 2, 7]),
        case(5, 300, 6, 1.0, [0, 1, 2], [1, 2]),
        case(6, 300, 3, 1.0, [0, 1, 2], [0, 1, 2]),
        case(7, 1, 10, 1.0, ten, ten),
    ]
    Path(arguments[0]).write_text(json.dumps(cases))


if __name__ == "__main__":
    main(sys.argv[1:])
