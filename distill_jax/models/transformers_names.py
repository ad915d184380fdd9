"""What transformers calls the fields of a network's configuration and its parameters, for each kind of network."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from distill_jax.models.roberta import Kind

_ROBERTA_FIELDS = {
    "layers": ("num_hidden_layers", 12),
    "units": ("hidden_size", 768),
    "heads": ("num_attention_heads", 12),
    "inner": ("intermediate_size", 3072),
    "vocabulary": ("vocab_size", 50265),
    "positions": ("max_position_embeddings", 512),
    "types": ("type_vocab_size", 2),
    "pad": ("pad_token_id", 1),
    "epsilon": ("layer_norm_eps", 1e-12),
    "dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "head_dropout": ("classifier_dropout", None),
    "initial_std": ("initializer_range", 0.02),
    "activation": ("hidden_act", "gelu"),
}
_BERT_FIELDS = _ROBERTA_FIELDS | {
    "vocabulary": ("vocab_size", 30522),
    "pad": ("pad_token_id", 0),
    "separator": ("sep_token_id", None),
}
_DISTILBERT_FIELDS = {
    "layers": ("n_layers", 6),
    "units": ("dim", 768),
    "heads": ("n_heads", 12),
    "inner": ("hidden_dim", 3072),
    "vocabulary": ("vocab_size", 30522),
    "positions": ("max_position_embeddings", 512),
    "pad": ("pad_token_id", 0),
    "dropout": ("dropout", 0.1),
    "attention_dropout": ("attention_dropout", 0.1),
    "head_dropout": ("seq_classif_dropout", 0.2),
    "initial_std": ("initializer_range", 0.02),
    "activation": ("activation", "gelu"),
}
_EMBEDDINGS = {
    "word": "embeddings.word_embeddings",
    "position": "embeddings.position_embeddings",
    "token_type": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
_BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}
_DISTILBERT_LAYER = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_out": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm": "output_layer_norm",
}


@dataclasses.dataclass(frozen=True)
class Names:
    """transformers' names for one kind of network.

    Attributes:
      called: by people.
      architecture: its class of a classifier.
      prefix: of the encoder's tensors in a classifier, which the encoder alone is saved without.
      fields: of each field of ours, the name in config.json and the value where that does not say.
      only: what else config.json may say, each with the only value there is here.
      encoder: modules outside of layers, without the prefix.
      head: modules without a prefix.
      layers: where the encoder's layers are, without the prefix.
      of_layer: modules of a layer.
    """

    called: str
    architecture: str
    prefix: str
    fields: Mapping[str, tuple[str, Any]]
    only: Mapping[str, Any]
    encoder: Mapping[str, str]
    head: Mapping[str, str]
    layers: str
    of_layer: Mapping[str, str]

    def tensor(self, path: tuple[str, ...]) -> str:
        """The name of one of our parameters, of which a `kernel` is there transposed."""
        *modules, leaf = path
        suffix = "bias" if leaf == "bias" else "weight"
        layer = re.fullmatch(r"layer_(\d+)", modules[0])
        if layer:
            return f"{self.prefix}{self.layers}.{layer[1]}.{self.of_layer[modules[1]]}.{suffix}"
        if modules[0] in self.head:
            return f"{self.head[modules[0]]}.{suffix}"
        return f"{self.prefix}{self.encoder[modules[0]]}.{suffix}"


_ONLY = {"position_embedding_type": "absolute", "is_decoder": False}
NAMES: dict[Kind, Names] = {
    "roberta": Names(
        "RoBERTa",
        "RobertaForSequenceClassification",
        prefix="roberta.",
        fields=_ROBERTA_FIELDS,
        only=_ONLY,
        encoder=_EMBEDDINGS,
        head={"head_dense": "classifier.dense", "head": "classifier.out_proj"},
        layers="encoder.layer",
        of_layer=_BERT_LAYER,
    ),
    "bert": Names(
        "BERT",
        "BertForSequenceClassification",
        prefix="bert.",
        fields=_BERT_FIELDS,
        only=_ONLY,
        encoder=_EMBEDDINGS | {"head_dense": "pooler.dense"},
        head={"head": "classifier"},
        layers="encoder.layer",
        of_layer=_BERT_LAYER,
    ),
    "distilbert": Names(
        "DistilBERT",
        "DistilBertForSequenceClassification",
        prefix="distilbert.",
        fields=_DISTILBERT_FIELDS,
        only={"sinusoidal_pos_embds": False},
        encoder=_EMBEDDINGS,
        head={"head_dense": "pre_classifier", "head": "classifier"},
        layers="transformer.layer",
        of_layer=_DISTILBERT_LAYER,
    ),
}
