"""Our RoBERTa against transformers' PyTorch class with the same weights, through folders in both directions."""

import numpy as np
import pytest
from command import refused

from distill_jax.models import huggingface
from distill_jax.models.roberta import RobertaConfig
from experiments import text_parity

torch = pytest.importorskip("torch", reason="the reference network needs PyTorch")


# All that a configuration has other than RoBERTa's own, in one layer; tests/models/roberta_fixture has two.
OTHER = RobertaConfig(1, 24, 3, 20, vocabulary=40, positions=26, types=2, pad=5, epsilon=1e-2)


@pytest.mark.parametrize(
    "config", [OTHER, *(pytest.param(c, marks=pytest.mark.slow) for c in text_parity.CASES.values())]
)
def test_logits_and_gradients_are_those_of_pytorch(config):
    found = text_parity.compare(config, texts=8)
    assert found["logit"] > 0.5
    assert found["gradient"] > 0.1
    assert found["logit_difference"] < 1e-4
    assert found["gradient_difference"] < 1e-4 * found["gradient"]
    assert found["round_trip_logit_difference"] == 0


def test_transformers_loads_what_we_save(tmp_path):
    import transformers

    batch = text_parity.make_batch(OTHER, texts=8)
    first = text_parity.write_reference(OTHER, tmp_path / "theirs")
    model, variables = huggingface.load(tmp_path / "theirs", text_parity.CLASSES)
    huggingface.save(tmp_path / "ours", model, variables["params"])
    again, info = transformers.RobertaForSequenceClassification.from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert again.config.num_labels == text_parity.CLASSES
    expected = text_parity.reference_results(first, batch)
    for name, value in text_parity.reference_results(again.eval(), batch).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_the_encoder_of_a_masked_language_model_is_pytorch_s(tmp_path):
    import transformers

    config = RobertaConfig(1, 8, 2, 12, vocabulary=20, positions=12)
    said = huggingface.fields(config)
    masked = transformers.RobertaForMaskedLM(transformers.RobertaConfig(**said))
    masked.save_pretrained(tmp_path / "masked")
    masked.roberta.save_pretrained(tmp_path / "encoder")
    for folder in ("masked", "encoder"):
        params = huggingface.read_params(tmp_path / folder, config, 3)
        assert set(params) == {"word", "position", "token_type", "norm", "layer_0"}
        kernel = masked.roberta.encoder.layer[0].output.dense.weight.detach().numpy().T
        np.testing.assert_array_equal(params["layer_0"]["down"]["kernel"], kernel)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--texts", "1"], "--texts 1: must be 2 or more"), (["--seed", "-1"], "--seed -1: must be 0 or more")],
)
def test_wrong_arguments(arguments, part, tmp_path):
    refused(text_parity.main, arguments, [part], tmp_path)
