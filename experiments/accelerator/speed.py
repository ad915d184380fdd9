"""Speed: times of a row as its compiler predicts and as measured, with PyTorch beside, and the parts of both."""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from experiments.accelerator.part_results import PartResults, failure
from experiments.accelerator.profile import seconds_by_instruction
from experiments.compiled.chips import CHIPS, Chip, of_device
from experiments.compiled.prediction import Compiled, describe
from experiments.compiled.sources import part
from experiments.throughput import ours
from experiments.throughput.grid import Row
from experiments.throughput.measure import measure_prepared
from experiments.throughput.roofline import measure_roofs

# In the order of what they are worth; of the first PyTorch is compiled too, which takes it a minute each.
ROWS = (
    Row("cifar-resnet20", "one-hot", "bfloat16", 128, 1),
    Row("cifar-resnet56", "kd", "bfloat16", 1024, 1),
    Row("cifar-resnet56", "kd", "bfloat16", 1024, 4),
    Row("cifar-resnet20", "one-hot", "bfloat16", 128, 8),
    Row("mnli-roberta-small", "kd", "bfloat16", 64, 1),
    Row("tiny-mobilenet-v2", "one-hot", "bfloat16", 128, 1),
    Row("cifar-resnet56", "one-hot", "bfloat16", 128, 1),
    Row("tiny-resnet50", "one-hot", "bfloat16", 128, 1),
    Row("cifar-resnet56", "one-hot", "float32", 1024, 1),
    Row("digits-mlp", "kd-cached", "float32", 128, 64),
    Row("mnli-roberta-base", "one-hot", "bfloat16", 64, 1),
    Row("tiny-resnet18", "kd", "bfloat16", 128, 4),
)
_COMPILED = 3
REHEARSED = (Row("digits-mlp", "one-hot", "bfloat16", 128, 1), Row("digits-mlp", "kd", "float32", 128, 2))
STAND_IN = "h100"  # on a CPU, of which no chip is known, so that a rehearsal says what a GPU would
_TOP = 10


def measure_all(
    kept: PartResults,
    environment: dict[str, Any],
    peer: ModuleType | None,
    rehearsal: bool,
    say: Callable[[str], None],
) -> None:
    """Measures the rows that are not there yet, and keeps each as soon as it is there.

    Args:
      kept: the part's file.
      environment: on what this is measured.
      peer: of `pytorch.find`.
      rehearsal: a few small rows.
      say: called with lines for a person.
    """
    kind = jax.devices()[0].device_kind
    chip = of_device(kind) or (CHIPS[STAND_IN] if jax.default_backend() == "cpu" else None)
    if chip is None:
        say(f"{kind}: no prediction, since it is none of the chips of experiments.compiled")
    rows = REHEARSED if rehearsal else ROWS
    roofs = measure_roofs(sorted({row.dtype for row in rows} | {"float32"}))
    for number, row in enumerate(rows, 1):
        if not kept.begin(row.name):
            continue
        peers = None if peer is None else peer.Peers(number <= _COMPILED and not rehearsal)
        repeats_and_seconds = (2, 0.1) if rehearsal else (3, 0.5)
        try:
            with tempfile.TemporaryDirectory() as folder:
                our_side, program = ours.prepare(row, Path(folder))
                assert program is not None
                predicted = {} if chip is None else _predicted(row, program, chip, our_side)
                result = measure_prepared(
                    row, our_side, program, roofs, peers, *repeats_and_seconds, Path(folder), environment
                )
        except Exception as error:  # what does not fit, or a compiler cannot do, is to cost no other row
            kept.write(row.name, {"passed": False, "why": failure(error)})
            say(f"[{number}/{len(rows)}] {row.name}: {failure(error)}")
            continue
        del result["environment"]
        for note in [] if peers is None else peers.notes:
            say(note)
        result |= predicted
        if "predicted_seconds_a_step" in predicted:
            result["measured_by_predicted"] = result["seconds_a_step"] / predicted["predicted_seconds_a_step"]
        kept.write(row.name, result)
        say(f"[{number}/{len(rows)}] {line(result)}")


def line(result: dict[str, Any]) -> str:
    """A row in a line."""
    ratio_text = "" if result["ratio"] is None else f", {result['ratio']:.2f} x {result['peer']}"
    predicted = ""
    if "predicted_seconds_a_step" in result:
        as_if = "" if result["chip_is_this"] else f", as if for {result['chip']}"
        predicted = f" (at least {1000 * result['predicted_seconds_a_step']:.3g} predicted{as_if})"
    return f"{result['row']}: {1000 * result['seconds_a_step']:.3g} ms a step{predicted}{ratio_text}"


def _predicted(row: Row, program: ours.Program, chip: Chip, our_side: Any) -> dict[str, Any]:
    """`_compared`, or why there is nothing to compare with: a device's program may be in words not met yet."""
    try:
        return _compared(row, program, chip, lambda: our_side.run(3))
    except Exception as error:
        return {"prediction_failed": failure(error)}


def _compared(row: Row, program: ours.Program, chip: Chip, run: Callable[[], None]) -> dict[str, Any]:
    """The compiler's prediction for a program, and the shares of its parts in a profile beside those predicted."""
    examples = row.batch * row.population
    call = Compiled("steps", (program.compiled,), program.jaxpr, 1, program.of.mesh.size)
    prediction, operations = describe([call], program.of, chip, program.steps, examples)
    parts = {operation.instruction.name: part(operation) for operation in operations}
    seconds, elsewhere = collections.Counter(), 0.0
    try:
        profiled, failure_text = seconds_by_instruction(run), None
    except Exception as error:  # a driver that lets nobody profile is to cost no measurement
        profiled, failure_text = {}, failure(error)
    for name, spent in profiled.items():
        if name in parts:
            seconds[parts[name]] += spent
        else:
            elsewhere += spent
    total = sum(seconds.values())
    predicted = {entry["what"]: entry["share"] for entry in prediction["top"]}
    measured = {name: spent / total for name, spent in seconds.most_common(_TOP)}
    return {
        "chip": chip.name,
        "chip_is_this": of_device(jax.devices()[0].device_kind) is chip,
        "predicted_seconds_a_step": prediction["step_seconds_predicted"],
        "predicted": {
            name: prediction[name] for name in ("bound_by", "bounds", "kernels", "cycles") if name in prediction
        },
        # Parts by their shares; None where they are not among the ten dearest.
        "parts": [
            {"what": name, "predicted": predicted.get(name), "measured": measured.get(name)}
            for name in dict.fromkeys([*measured, *predicted])
        ],
        "profile_failed": failure_text,
        "profiled_elsewhere": elsewhere / (total + elsewhere) if total + elsewhere else None,
    }
