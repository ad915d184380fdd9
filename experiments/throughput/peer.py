"""The peer's side of a row, in PyTorch as its good users write it, on the same data by the same recipe.

Data lie on the device, images as uint8, channels last and padded once for all crops; a batch is one gather that crops
and mirrors. RoBERTa is that of transformers. Optimizers are fused. On a GPU bfloat16 rows are under autocast (AMP) and
convolutions are chosen by trial (cudnn.benchmark); float32 means float32, as on our side: no TF32. The whole forward
pass from the gather to the loss is compiled, on GPUs in the mode that replays CUDA graphs, since networks as small as
these wait for their launches. Nothing waits for the device before a round ends. Threads are as PyTorch sets them by
itself: all cores, as JAX does.

A population is trained the usual way, one member after another: so its examples/s are those of one member.
"""

import contextlib
import time
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from distill_jax.data.dataset import Dataset
from experiments.throughput import pytorch_networks
from experiments.throughput.data import synthetic
from experiments.throughput.grid import NETWORKS, Network, Row
from experiments.throughput.rounds import Contender

VERSIONS = {"torch": str(torch.__version__), "transformers": version("transformers")}


def device() -> torch.device:
    """Where the peer runs: on a GPU if JAX does and PyTorch can too."""
    on_gpu = jax.default_backend() != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def comparable() -> str | None:
    """Why this PyTorch cannot be a peer here; None if it can."""
    if jax.default_backend() != "cpu" and not torch.cuda.is_available():
        return f"this PyTorch knows no accelerator, and JAX runs on {jax.default_backend()}"
    return None


class Peer:
    """A network and its teacher, the data, and the work of one step.

    Args:
      network: with its recipe.
      dataset: what is learned from.
      dtype: 'float32' or 'bfloat16' (autocast).
      batch: examples a step.
      kind: of step: a 'kd' step has the teacher in it, a 'kd-cached' one a table of its logits.
      compiled: whether forward passes go through `torch.compile`.
      kept: whether features that training does not change are computed once, before it.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        dtype: str,
        batch: int,
        kind: str,
        compiled: bool,
        kept: bool = False,
    ):
        self._network, self._batch, self._kind, self._device = network, batch, kind, device()
        self._cast = dtype == "bfloat16"
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.student, self.teacher = self._build(), self._build().eval().requires_grad_(False)
        self.optimizer = self._optimizer()
        self.mean, self.std = (self._on_device(a) for a in (dataset.mean, dataset.std))
        self.x, self.label, self.test = (
            self._on_device(a) for a in (dataset.train.x, dataset.train.label, dataset.test.x)
        )
        augmented = network.augment != "none" and kind != "kd-cached"  # a cache serves nothing that is augmented
        self._pad = dataset.input_shape[0] // 8 if augmented else 0
        if self._pad:
            self.x = F.pad(self.x, (0, 0, self._pad, self._pad, self._pad, self._pad))
        if kind == "kd-cached":
            self.cached = torch.randn(len(self.x), network.classes, device=self._device)
        self._fixed = None
        if kept:
            with torch.no_grad(), self._autocast():
                self._fixed = self.student.fixed(self._normalised(self.x))
        self._order, self._at = torch.empty(0, dtype=torch.long), 0
        self._forward, self._evaluate = self.loss, self.logits
        self._replays = compiled and self._device.type == "cuda"
        if compiled:
            # Evaluated batches are fetched in one piece at the end, which a CUDA graph's reused memory does not allow.
            mode = "reduce-overhead" if self._replays else None
            self._forward = torch.compile(self.loss, mode=mode, dynamic=False)
            self._evaluate = torch.compile(self.logits, dynamic=False)

    def _build(self) -> nn.Module:
        network = self._network
        model = pytorch_networks.build(network.model, network.classes, network.input_shape, network.vocabulary)
        return model.to(self._device, memory_format=torch.channels_last if network.convolutional else None)

    def _on_device(self, values: np.ndarray | None) -> torch.Tensor | None:
        """Values as they are, but tokens and labels as int64, by which PyTorch looks up."""
        if values is None:
            return None
        dtype = np.int64 if values.dtype in (np.uint16, np.int32) else values.dtype
        return torch.from_numpy(values.astype(dtype, copy=False)).to(self._device)

    def _optimizer(self) -> torch.optim.Optimizer:
        rule, parameters = self._network.optimizer, self.student.parameters()
        same = {"lr": rule.learning_rate, "weight_decay": rule.weight_decay, "fused": True}
        if rule.optimizer == "sgd":
            return torch.optim.SGD(parameters, momentum=rule.momentum, nesterov=True, **same)
        return torch.optim.Adam(parameters, **same)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16) if self._cast else contextlib.nullcontext()

    def _normalised(self, x: torch.Tensor) -> torch.Tensor:
        """[B, H, W, C] or [B, D] raw -> float32; for convolutions [B, C, H, W], channels last in memory."""
        if self.mean is None:  # tokens
            return x
        x = (x.float() - self.mean) / self.std
        return x.permute(0, 3, 1, 2) if self._network.convolutional else x

    def _augmented(self, chosen: torch.Tensor) -> torch.Tensor:
        """The chosen examples [B] cropped and mirrored at random, [B, H, W, C]."""
        if not self._pad:
            return self.x[chosen]
        height, width, _ = self._network.input_shape
        shift = torch.randint(0, 2 * self._pad + 1, (2, len(chosen), 1), device=self._device)
        columns = torch.arange(width, device=self._device)
        mirrored = torch.rand(len(chosen), 1, device=self._device) < 0.5
        columns = shift[0] + torch.where(mirrored, width - 1 - columns, columns)
        rows = shift[1] + torch.arange(height, device=self._device)
        return self.x[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _teacher_logits(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor | None:
        if self._kind == "kd":
            return self.teacher(x)
        return self.cached[chosen] if self._kind == "kd-cached" else None

    def loss(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and accuracy of the chosen training examples [B]."""
        x, target = self._normalised(self._augmented(chosen)), self.label[chosen]
        with self._autocast():
            has_features = self._fixed is not None
            logits = (self.student.head(self._fixed[chosen]) if has_features else self.student(x)).float()
        with torch.no_grad():
            teacher_logits = self._teacher_logits(x, chosen)  # in float32, as ours
            accuracy = (logits.argmax(1) == target).float().mean()
        if teacher_logits is None:
            return F.cross_entropy(logits, target), accuracy
        temperature = self._network.temperature
        target = F.softmax(teacher_logits / temperature, 1)
        return F.cross_entropy(logits / temperature, target) * temperature**2, accuracy

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of raw inputs in evaluation mode."""
        with self._autocast():
            return self.student(self._normalised(x)).float()

    def step(self) -> torch.Tensor:
        """One training step; its loss has not been waited for."""
        if self._at + self._batch > len(self._order):
            self._order, self._at = torch.randperm(len(self.x), device=self._device), 0
        chosen = self._order[self._at : self._at + self._batch]
        self._at += self._batch
        if self._replays:
            torch.compiler.cudagraph_mark_step_begin()
        loss, _ = self._forward(chosen)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    @torch.no_grad()
    def evaluate(self, batch: int) -> np.ndarray:
        """Logits of the test split on the host."""
        self.student.eval()
        return torch.cat([self._evaluate(part) for part in self.test.split(batch)]).cpu().numpy()

    def wait(self) -> None:
        """Until the device has done all it was told."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()


class Peers:
    """The peers of one row after another; rows that differ in population alone share theirs.

    Attributes:
      notes: what could not be done, a line each.
    """

    def __init__(self, compiled: bool):
        self._compiled, self._key, self._held = compiled, None, []
        self.notes: list[str] = []

    def of(self, row: Row) -> list[Contender]:
        """Eager and compiled, warm, as far as they can be had."""
        key = (row.network, row.kind, row.dtype, row.batch)
        if key != self._key:
            self.release()
            variants = [(False, False), *([(True, False)] if self._compiled else [])]
            if NETWORKS[row.network].model.name == "random-features" and row.kind != "evaluate":
                variants.append((False, True))
            contenders = [self._contender(row, *variant) for variant in variants]
            self._key, self._held = key, [contender for contender in contenders if contender is not None]
        return self._held

    def release(self) -> None:
        """Gives the memory of the peers held back."""
        self._key, self._held = None, []
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _contender(self, row: Row, compiled: bool, features_kept: bool) -> Contender | None:
        name = ("pytorch compiled" if compiled else "pytorch eager") + (", features kept" if features_kept else "")
        try:
            return _contender(row, name, compiled, features_kept)
        except Exception as error:
            out_of_memory = isinstance(error, torch.OutOfMemoryError)
            if not compiled and not out_of_memory:
                raise  # ours to mend
            message = next((line for line in str(error).splitlines() if line.strip()), "").strip()
            self.notes.append(f"{row.name}: no {name} ({type(error).__name__}: {message[:150]})")
            self._compiled = self._compiled and out_of_memory  # what cannot be compiled once is not tried again
            return None


def _contender(row: Row, name: str, compiled: bool, features_kept: bool) -> Contender:
    network, dataset = NETWORKS[row.network], synthetic(row.network)
    torch._dynamo.reset()  # what was compiled for rows before
    peer = Peer(network, dataset, row.dtype, row.batch, row.kind, compiled, features_kept)
    batch = min(network.defaults.evaluation_batch, len(peer.test))

    def run(calls: int) -> None:
        for _ in range(calls):
            if row.kind == "evaluate":
                peer.evaluate(batch)
            else:
                peer.step()
        peer.wait()

    seconds = []
    for _ in range(3):  # the first call compiles; with CUDA graphs the second records
        started = time.perf_counter()
        run(1)
        seconds.append(time.perf_counter() - started)
    return Contender(name, run, row.batch, sum(seconds[:2]) - 2 * seconds[2] if compiled else 0.0)
