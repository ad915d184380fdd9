"""Values of seeds that are kept while they come: stopped and gone on with, they are what they would have been."""

import numpy as np
import pytest

from experiments.many_seeds.seed_store import PartialResults, collect

SAID = {
    "environment": {"commit": "a", "device": "b", "devices": 1, "backend": "cpu", "versions": {}, "command": "c"},
    "setting": {"alpha": 0.5, "data_dir": None},
}
SEEDS = 7


def outcomes(seeds):
    """Portions of two seeds; a seed's outcome is drawn by its number."""
    for start in range(seeds.start, seeds.stop, 2):
        yield [np.random.default_rng(seed).normal(size=3) for seed in seeds[start - seeds.start :][:2]]


def values(portion):
    return {"mean": np.mean(portion, 1), ("own", 0.5, 1): np.array(portion), "count": np.arange(len(portion))}


def interrupted(seeds):
    yield from list(outcomes(seeds))[:2]
    raise KeyboardInterrupt


def begun(path, said=SAID):
    with pytest.raises(KeyboardInterrupt):
        collect(interrupted, SEEDS, values, PartialResults(path, said))
    return path.with_suffix(".seeds.npz")


def test_what_was_stopped_goes_on_and_is_the_same(tmp_path):
    asked = []

    def rest(seeds):
        asked.append(seeds)
        return outcomes(seeds)

    file = begun(tmp_path / "a.json")
    kept = PartialResults(tmp_path / "a.json", SAID | {"environment": SAID["environment"] | {"command": "other words"}})
    found = collect(rest, SEEDS, values, kept)
    whole = collect(outcomes, SEEDS, values)
    assert asked == [range(4, SEEDS), range(1)]  # and the first seed again, as it came
    assert list(found.values) == list(whole.values)
    for name, array in whole.values.items():
        np.testing.assert_array_equal(found.values[name], array)
    np.testing.assert_array_equal(found.first[0], whole.first[0])
    assert found.seconds["wall"] >= 0
    assert file.exists()
    assert len(collect(outcomes, SEEDS, values, kept).values["mean"]) == SEEDS  # nothing is left to do
    kept.remove()
    assert not list(tmp_path.iterdir())


def test_fewer_seeds_than_were_kept_are_as_many_as_asked(tmp_path):
    begun(tmp_path / "a.json")
    found = collect(outcomes, 3, values, PartialResults(tmp_path / "a.json", SAID))
    whole = collect(outcomes, 3, values)
    for name, array in whole.values.items():
        np.testing.assert_array_equal(found.values[name], array)


@pytest.mark.parametrize("change", ["setting", "environment"])
def test_what_is_of_something_else_is_not_gone_on_with(tmp_path, change):
    begun(tmp_path / "a.json")
    what = {"setting": {"alpha": 0.25}, "environment": {"commit": "z"}}[change]
    kept = PartialResults(tmp_path / "a.json", SAID | {change: SAID[change] | what})
    assert kept.read()[0] == {}
    assert PartialResults(tmp_path / "a.json", SAID).read()[0]


def test_a_damaged_file_is_not_gone_on_with(tmp_path):
    file = begun(tmp_path / "a.json")
    for data in (b"", b"nonsense", file.read_bytes()[:400]):
        file.write_bytes(data)
        assert PartialResults(tmp_path / "a.json", SAID).read()[0] == {}


def test_without_a_result_file_nothing_is_kept():
    kept = PartialResults(None, SAID)
    assert len(collect(outcomes, SEEDS, values, kept).values["mean"]) == SEEDS
    assert kept.read()[0] == {}
