"""Our networks for texts against transformers' PyTorch classes with the same weights: logits, gradients, a round trip.

    python -m experiments.text_parity [--json FILE]

The weights go from one to the other through a folder as `save_pretrained` writes it; on the round trip a folder that we
save is read by `from_pretrained`. Texts are of all lengths, padded on the right; a BERT's are single ones and pairs,
of which PyTorch is given the types of the tokens and our network finds them. DistilRoBERTa, DistilBERT and base BERT
have the published layers and units, with fewer tokens and positions. Everything is in float32, without dropout. Needs
PyTorch (the extra `bench`).
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from rich.table import Table

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.models import huggingface
from distill_jax.models.roberta import RobertaConfig
from distill_jax.models.transformers_names import NAMES
from experiments.parity import differences

PROG = "python -m experiments.text_parity"
CASES = {
    "tiny RoBERTa": RobertaConfig(2, 32, 4, 64, vocabulary=60, positions=34),
    "small RoBERTa": RobertaConfig.sized(4, 512, vocabulary=2000, positions=66),
    "RoBERTa, other epsilon, padding, types": RobertaConfig(
        3, 48, 3, 100, vocabulary=77, positions=40, types=2, pad=5, epsilon=1e-2
    ),
    "DistilRoBERTa": RobertaConfig.sized(6, 768, vocabulary=2000, positions=66),
    "tiny BERT": RobertaConfig.sized(2, 64, "bert", vocabulary=60, positions=34, separator=3),
    "small BERT": RobertaConfig.sized(4, 512, "bert", vocabulary=2000, positions=64, separator=102),
    "BERT, other activation, padding": RobertaConfig.sized(
        2, 64, "bert", vocabulary=77, positions=40, pad=5, separator=9, epsilon=1e-2, activation="gelu_new"
    ),
    "base BERT": RobertaConfig.sized(12, 768, "bert", vocabulary=2000, positions=64, separator=102),
    "tiny DistilBERT": RobertaConfig.sized(2, 64, "distilbert", vocabulary=60, positions=34),
    "DistilBERT, ReLU": RobertaConfig.sized(2, 64, "distilbert", vocabulary=60, positions=34, activation="relu"),
    "DistilBERT": RobertaConfig.sized(6, 768, "distilbert", vocabulary=2000, positions=64),
}
CLASSES = 3


@dataclasses.dataclass(frozen=True)
class Setting:
    """Compares our networks for texts with the PyTorch classes of transformers, with the same weights."""

    texts: int = 16
    """Texts of a batch."""
    seed: int = 0
    """Of weights, tokens and labels."""
    json: Path | None = None
    """Write the numbers to this file too."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Texts with labels: tokens int32 [B, L], lengths and labels int64 [B], and which text of a pair a token is of."""

    tokens: np.ndarray
    length: np.ndarray
    label: np.ndarray
    types: np.ndarray | None = None


def make_batch(config: RobertaConfig, texts: int, seed: int = 0) -> Batch:
    """Random texts of every length from 1 token up to all the model takes, as evenly as so few can be.

    Where the model has a separator every text ends with one, and every other is a pair with one in its middle.
    """
    rng = np.random.default_rng(seed)
    length = np.linspace(1, config.longest, texts).round().astype(np.int64)
    apart = [config.pad] if config.separator is None else [config.pad, config.separator]
    words = np.setdiff1d(np.arange(config.vocabulary), apart)
    tokens = rng.choice(words, (texts, config.longest)).astype(np.int32)
    tokens[np.arange(config.longest) >= length[:, None]] = config.pad
    label = rng.integers(0, CLASSES, texts)
    if config.separator is None:
        return Batch(tokens, length, label)
    types = np.zeros_like(tokens)
    for row, count in enumerate(length):
        tokens[row, count - 1] = config.separator
        if row % 2 and count > 2:
            tokens[row, count // 2] = config.separator
            types[row, count // 2 + 1 : count] = 1
    return Batch(tokens, length, label, types)


def write_reference(config: RobertaConfig, folder: Path, seed: int = 0) -> Any:
    """transformers' network with random weights, saved to a folder.

    All of its weights are random, also biases, scales and padding, whose usual values would hide mistakes.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    given = huggingface.fields(config) | {"num_labels": CLASSES, "attn_implementation": "eager"}
    network_class = getattr(transformers, NAMES[config.kind].architecture)
    network = network_class(transformers.AutoConfig.for_model(config.kind, **given)).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("bias"):
                value = rng.normal(0, 0.1, tensor.shape)
            elif "layernorm" in name.lower().replace("_", ""):
                value = rng.uniform(0.5, 1.5, tensor.shape)
            else:
                value = rng.normal(0, 1 if "embeddings" in name else tensor.shape[1] ** -0.5, tensor.shape)
            tensor.copy_(torch.from_numpy(value))
    network.save_pretrained(folder)
    return network


def reference_results(network: Any, batch: Batch) -> dict[str, np.ndarray]:
    """PyTorch's: 'logits', and the loss's gradient by transformers' names."""
    import torch

    mask = np.arange(batch.tokens.shape[1]) < batch.length[:, None]
    tokens, masked, label = (torch.from_numpy(a.astype(np.int64)) for a in (batch.tokens, mask, batch.label))
    types = {} if batch.types is None else {"token_type_ids": torch.from_numpy(batch.types.astype(np.int64))}
    output = network(input_ids=tokens, attention_mask=masked, labels=label, **types)
    network.zero_grad()
    output.loss.backward()
    grads = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    return {"logits": output.logits.detach().numpy(), **grads}


def our_results(folder: Path, batch: Batch) -> dict[str, np.ndarray]:
    """The same of our network with a folder's weights."""
    model, variables = huggingface.load(folder, CLASSES)

    def loss(params: Any) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, jnp.asarray(batch.tokens), train=False)
        label_log_probability = jnp.take_along_axis(
            jax.nn.log_softmax(logits), jnp.asarray(batch.label)[:, None], axis=1
        )
        return -label_log_probability.mean(), logits

    grads, logits = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    results = {"logits": np.asarray(logits)}
    for path, leaf in flatten_dict(grads).items():
        results[huggingface.tensor_name(path, model.config.kind)] = np.asarray(leaf.T if path[-1] == "kernel" else leaf)
    return results


def again(folder: Path, saved: Path) -> Any:
    """transformers' network of a folder's weights after a round trip: read by us, saved by us to another folder."""
    import transformers

    model, variables = huggingface.load(folder, CLASSES)
    huggingface.save(saved, model, variables["params"])
    read = transformers.AutoModelForSequenceClassification.from_pretrained
    return read(saved, local_files_only=True, attn_implementation="eager").eval()


def compare(config: RobertaConfig, texts: int, seed: int = 0) -> dict[str, float]:
    """`differences` of the two networks with the same random weights, and of logits before and after a round trip."""
    batch = make_batch(config, texts, seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder, saved = Path(temporary) / "theirs", Path(temporary) / "ours"
        theirs = reference_results(write_reference(config, folder, seed), batch)
        returned = reference_results(again(folder, saved), batch)
        difference = np.abs(returned["logits"] - theirs["logits"]).max()
        return differences(our_results(folder, batch), theirs) | {"round_trip_logit_difference": float(difference)}


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    if setting.texts < 2:
        raise InputError("--texts", setting.texts, "must be 2 or more, of different lengths")
    if setting.seed < 0:
        raise InputError("--seed", setting.seed, "must be 0 or more")
    command_line.check_writable("--json", setting.json, ".json")
    try:
        import torch
    except ImportError as error:
        raise InputError(PROG, None, "needs PyTorch to compare with: pip install -e '.[bench]'") from error
    from importlib.metadata import version

    from distill_jax.machine.environment import environment

    rows = {name: compare(config, setting.texts, setting.seed) for name, config in CASES.items()}
    table = Table("network", "layers x units", "lengths", "largest logit", "difference", box=None)
    table.add_column("largest gradient")
    table.add_column("difference")
    table.add_column("logits after the round trip")
    for name, row in rows.items():
        config = CASES[name]
        numbers = [row["logit"], row["logit_difference"], row["gradient"], row["gradient_difference"]]
        cells = [f"{number:.2g}" for number in [*numbers, row["round_trip_logit_difference"]]]
        table.add_row(name, f"{config.layers} x {config.units}", f"1 to {config.longest}", *cells)
    command_line.console(120).print(table)
    if setting.json is not None:
        run_environment = environment(f"{PROG} {' '.join(arguments)}".strip())
        run_environment["versions"] |= {"torch": torch.__version__, "transformers": version("transformers")}
        command_line.write_json(setting.json, {"environment": run_environment, "rows": rows})


if __name__ == "__main__":
    command_line.run(main)
