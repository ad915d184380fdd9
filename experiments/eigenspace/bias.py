"""When a trajectory is biased towards the top eigendirection, and when one is more so than another, as numbers.

The paper judges both by eye: "the trajectories move quickly along the X axis towards its final X axis value, before
making progress along the Y axis", and footnote 1: in the extreme X first, then Y; else a "convex" shape. Let a(t) be
the projection along the top direction and b(t) that along the bottom one, t = 0 ... T steps. Three definitions, each a
number that is above 0 where the trajectory is biased, and one above 0 where a model is more so than its teacher.

area   Progress along each direction as a share of the model's own way, u(t) = (a(t) - a(0)) / (a(T) - a(0)) and
       w(t) likewise of b, gives a curve w(u) from (0, 0) to (1, 1). In words: how far below the diagonal it runs.

           B = 1/2 - integral of w du       along the path, by trapezoids

       B is 0 for a straight way, 1/2 for the footnote's extreme, X first, then Y, and negative where Y leads. It does
       not change with the scale of either axis, with the final values, or with how fast training goes. More
       exaggerated: B of the model less B of its teacher.
level  Theorem 4.1's comparison: at equal convergence along the top direction the student has less along the bottom
       one. On 99 levels evenly between the greater start and the lesser maximum of a of both models: the share at which
       the model's b, where a first gets to the level, is below the teacher's, less 1/2. It compares positions and not
       shapes, and so is not invariant to final values. A curve alone is compared with its own diagonal.
time   ln(t_b / t_a), the steps until half of the way along the bottom and along the top direction is first gone.
       More exaggerated: the model's less its teacher's.

What the theory itself says of them. By equation (4) the student's component along direction k is
alpha_k(t) alpha_k(T_te): the teacher's times a constant. As a share of its own final value it is therefore the very
curve of the teacher, if both are trained as long: by `area` and `time`, as by any definition that is invariant to final
values, the theory's student is exactly as biased as its teacher. What Theorem 4.1 calls exaggerated is all in the
constants, which `level` sees. What the other two find between real models is beyond the theorem.
"""

import numpy as np

DEFINITIONS = ("area", "level", "time")
LEVELS = np.arange(1, 100) / 100


def progress(a: np.ndarray) -> np.ndarray:
    """(a - a(0)) / (a(T) - a(0)) of [..., T + 1]; NaN or infinite where a ends where it began."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (a - a[..., :1]) / (a[..., -1:] - a[..., :1])


def area(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """B of trajectories [..., T + 1] (float64): [...]."""
    u, w = progress(top), progress(bottom)
    with np.errstate(invalid="ignore"):
        return 0.5 - np.sum((w[..., 1:] + w[..., :-1]) / 2 * np.diff(u), axis=-1)


def time(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """ln(t_b / t_a) of trajectories [..., T + 1] (float64): [...]."""
    return np.log(_half(progress(bottom)) / _half(progress(top)))


def level(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Share of levels of u at which w is below u, less 1/2, of trajectories [..., T + 1]: [...]."""
    w = shares(top, bottom)
    return np.where(np.isfinite(w).all(-1), np.mean(w < LEVELS, -1) - 0.5, np.nan)


def shares(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """w of trajectories [..., T + 1] where u first gets to `LEVELS`, [..., levels]; NaN if u or w goes nowhere."""
    u, w = progress(top), progress(bottom)
    rows = zip(u.reshape(-1, u.shape[-1]), w.reshape(-1, w.shape[-1]), strict=True)
    curves = [_at(LEVELS, *row) if np.isfinite(row).all() else np.full(len(LEVELS), np.nan) for row in rows]
    return np.reshape(curves, (*u.shape[:-1], len(LEVELS)))


def at_equal(x: np.ndarray, y: np.ndarray, other_x: np.ndarray, other_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two curves y where each x first gets to the levels that both have, [levels] each; empty if there are none.

    Args:
      x, y, other_x, other_y: float64 [points], in the order of time, of any number for each curve.
    """
    low, high = max(x[0], other_x[0]), min(x.max(), other_x.max())
    levels = low + (high - low) * LEVELS if high > low else np.empty(0)
    return _at(levels, x, y), _at(levels, other_x, other_y)


def biases(top: np.ndarray, bottom: np.ndarray) -> dict[str, np.ndarray]:
    """By each definition how biased trajectories [..., T + 1] are: [...]; NaN where this is not defined."""
    return {"area": area(top, bottom), "level": level(top, bottom), "time": time(top, bottom)}


def exaggerations(
    own: dict[str, np.ndarray], top: np.ndarray, bottom: np.ndarray, model: int, teacher: int = 0
) -> dict[str, np.ndarray]:
    """By each definition how much more biased a model is than its teacher.

    Args:
      own: of `biases`, [S, V, pairs] each.
      top, bottom: float64 [S, V, pairs, T + 1].
      model, teacher: places on axis V.

    Returns:
      [S, pairs] each; NaN where this is not defined.
    """
    result = {name: own[name][:, model] - own[name][:, teacher] for name in ("area", "time")}
    result["level"] = np.empty_like(result["area"])
    for seed, pair in np.ndindex(*result["level"].shape):
        teacher_curve, model_curve = at_equal(
            *(a[seed, index, pair] for index in (teacher, model) for a in (top, bottom))
        )
        result["level"][seed, pair] = np.mean(model_curve < teacher_curve) - 0.5 if len(model_curve) else np.nan
    return {name: result[name] for name in DEFINITIONS}


def _half(share: np.ndarray) -> np.ndarray:
    """Steps, between whole ones by straight lines, until a share [..., T + 1] that ends at 1 first is 1/2."""
    after = np.argmax(share >= 0.5, axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(share, index, -1)[..., 0] for index in (before, after))
    with np.errstate(divide="ignore", invalid="ignore"):
        return before[..., 0] + (0.5 - low) / (high - low)


def _at(levels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y where x [points] first gets to the levels, which it does, by straight lines between points: [levels]."""
    new = np.concatenate([[True], x[1:] > np.maximum.accumulate(x)[:-1]])
    return np.interp(levels, x[new], y[new])
