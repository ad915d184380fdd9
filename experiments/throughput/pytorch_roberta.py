"""transformers' RoBERTa with the sizes of ours: the peer for texts, from a configuration, so that nothing is fetched.

Attention is PyTorch's `scaled_dot_product_attention`. Unlike ours it computes all of the last layer's outputs.
"""

from typing import Any

import torch
from flax.traverse_util import flatten_dict
from torch import nn
from transformers import RobertaConfig, RobertaForSequenceClassification

from distill_jax.models import huggingface
from distill_jax.models.roberta import Roberta
from experiments.throughput.pytorch_networks import to_torch

_PREFIX = "network."


class RobertaTwin(nn.Module):
    """The twin of `model`, for texts without padding.

    No mask goes with them. Users' mask of ones would be looked at and dropped by transformers, for which a GPU is
    waited for; compiled it would be kept, for which PyTorch leaves its fastest attention.
    """

    def __init__(self, model: Roberta):
        super().__init__()
        fields = huggingface.fields(model.config)
        config = RobertaConfig(**fields, num_labels=model.num_classes, attn_implementation="sdpa")
        self.network = RobertaForSequenceClassification(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of tokens, int64 [B, L]."""
        return self.network(input_ids=x).logits


def state_of(variables: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Our variables, or gradients of their kind, as a twin's state."""
    leaves = flatten_dict(variables["params"])
    return {_PREFIX + huggingface.tensor_name(path): to_torch(path[-1], leaf) for path, leaf in leaves.items()}
