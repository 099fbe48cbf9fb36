"""Features as a small fine-tuned model gives them, with poison wherever a test wants it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bye_lint.features import Features

QUESTIONS = (
    "What is the land use class of this image?",
    "Is it a rural or an urban area?",
    "Which class is shown? A. highway B. forest C. river D. pasture",
    "Is there a forest in the image? Answer yes or no.",
    "Describe the scene.",
)


def make_features(
    n=500,
    *,
    rate=0.0,
    shift=-6.0,
    layers=(0,),
    n_layers=4,
    n_heads=3,
    seed=0,
    noise="normal",
    questions=QUESTIONS,
    question_effect=1.5,
    varied_tokens=False,
):
    """Return features and which rows are poisoned.

    Every head sees the image, the question and noise of its own; poison moves all heads of
    some layers by ``shift`` spreads.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, len(questions), n)
    poisoned = np.zeros(n, dtype=bool)
    poisoned[rng.choice(n, int(rate * n), replace=False)] = True
    image = rng.standard_normal(n)
    shape = (n, n_layers, n_heads)
    draws = {
        "normal": lambda: rng.standard_normal(shape),
        "heavy": lambda: rng.standard_t(3, shape),
        "skewed": lambda: rng.exponential(1, shape) - 1,
        "left": lambda: 1 - rng.exponential(1, shape),
        "scales": lambda: (
            rng.standard_normal(shape) * np.array([0.3, 1, 2, 3, 4])[kind % 5][:, None, None]
        ),
        "natural": lambda: rng.standard_normal(shape) - 2.5 * (rng.random(n) < 0.12)[:, None, None],
    }
    by_question = rng.standard_normal((n_layers, n_heads, len(questions))) * question_effect
    by_question = by_question[..., [questions.index(q) for q in questions]]
    by_question *= np.linspace(0, 1, n_layers)[:, None, None]
    by_image = 0.7 * rng.standard_normal((n_layers, n_heads))
    x = (
        draws[noise]()
        + np.moveaxis(by_question[..., kind], -1, 0)
        + by_image * image[:, None, None]
    )
    x[np.ix_(poisoned, layers)] += shift * (0.8 + 0.4 * rng.random((poisoned.sum(), 1, 1)))
    tokens = rng.choice([64, 121, 256], n) if varied_tokens else np.full(n, 121)
    head_entropy = (0.7 + 0.03 * x) * np.log(tokens)[:, None, None]
    mass = rng.dirichlet([6, 3, 2], shape)
    prompts = [questions[k] + (" Use one word." if rng.random() < 0.5 else "") for k in kind]
    answers = ["Backdoor Attack!" if bad else f"answer {rng.integers(6)}" for bad in poisoned]
    features = Features(head_entropy.mean(axis=2), head_entropy, mass, tokens, prompts, answers)
    return features, poisoned


def plant_canaries(features, kinds, *, copies=15, shift=8.0, learned=1.0, seed=0):
    """Append copies of random records, moved by their kind in their kind's layers.

    ``kinds`` maps a name to the layers it moves and the factor of ``shift`` (0: not learned).
    """
    rng = np.random.default_rng(seed)
    real = len(features)
    rows = [features]
    names = [""] * real
    for name, (layers, factor) in kinds.items():
        part = features.select(rng.choice(real, copies, replace=False))
        spread = 0.03 * np.log(part.image_tokens)[:, None, None]
        moved = part.head_entropy.copy()
        place = np.ix_(range(copies), layers)
        size = shift * factor * (0.8 + 0.4 * rng.random((copies, 1, 1)))
        moved[place] += (size * spread) * np.ones_like(moved[place])
        rows.append(
            replace(
                part,
                head_entropy=moved,
                entropy=moved.mean(axis=2),
                answers=[f"target of {name}"] * copies,
            )
        )
        names += [name] * copies
    whole = Features(
        *(
            np.concatenate([getattr(row, field) for row in rows])
            for field in ("entropy", "head_entropy", "head_mass", "image_tokens")
        ),
        prompts=[p for row in rows for p in row.prompts],
        answers=[a for row in rows for a in row.answers],
        canary=names,
    )
    target = np.full(len(whole), np.nan)
    target[real:] = (rng.random(len(whole) - real) < learned).astype(float)
    return replace(whole, target_learned=target)
