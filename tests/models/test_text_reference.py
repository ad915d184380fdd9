"""Our networks for texts against transformers' PyTorch classes with the same weights, by folders in both directions."""

import subprocess
import sys

import numpy as np
import pytest
from command import refused

from distill_jax.errors import InputError
from distill_jax.models import huggingface
from distill_jax.models.roberta import RobertaConfig
from experiments import text_parity

torch = pytest.importorskip("torch", reason="the reference network needs PyTorch")


# All that a configuration has other than the kind's own, in one layer; the fixtures of tests/models have two.
_SIZES = {"heads": 3, "inner": 20, "vocabulary": 40, "positions": 26, "pad": 5}
OTHER = {
    "roberta": RobertaConfig.sized(1, 24, types=2, epsilon=1e-2, **_SIZES),
    "bert": RobertaConfig.sized(1, 24, "bert", types=3, epsilon=1e-2, separator=7, activation="gelu_new", **_SIZES),
    "distilbert": RobertaConfig.sized(1, 24, "distilbert", activation="relu", **_SIZES),
}


@pytest.mark.parametrize(
    "config", [*OTHER.values(), *(pytest.param(c, marks=pytest.mark.slow) for c in text_parity.CASES.values())]
)
def test_logits_and_gradients_are_those_of_pytorch(config):
    found = text_parity.compare(config, texts=8)
    assert found["logit"] > 0.5
    assert found["gradient"] > 0.1
    assert found["logit_difference"] < 1e-4
    assert found["gradient_difference"] < 1e-4 * found["gradient"]
    assert found["round_trip_logit_difference"] == 0


@pytest.mark.parametrize("kind", OTHER)
def test_transformers_loads_what_we_save(tmp_path, kind):
    import transformers

    batch = text_parity.make_batch(OTHER[kind], texts=8)
    first = text_parity.write_reference(OTHER[kind], tmp_path / "theirs")
    model, variables = huggingface.load(tmp_path / "theirs", text_parity.CLASSES)
    huggingface.save(tmp_path / "ours", model, variables["params"])
    again, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(again) is type(first)
    assert again.config.num_labels == text_parity.CLASSES
    expected = text_parity.reference_results(first, batch)
    for name, value in text_parity.reference_results(again.eval(), batch).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("kind", OTHER)
def test_the_encoder_of_a_masked_language_model_is_pytorch_s(tmp_path, kind):
    import transformers

    config = OTHER[kind]
    said = transformers.AutoConfig.for_model(kind, **huggingface.fields(config))
    masked = transformers.AutoModelForMaskedLM.from_config(said)
    masked.save_pretrained(tmp_path / "masked", max_shard_size="4KB")
    masked.base_model.save_pretrained(tmp_path / "encoder")
    assert (tmp_path / "masked" / "model.safetensors.index.json").is_file()
    for folder in ("masked", "encoder"):
        params = huggingface.read_params(tmp_path / folder, config, 3)
        assert "layer_0" in params
        assert not any(name.startswith("head") for name in params)
        name = huggingface.tensor_name(("layer_0", "down", "kernel"), kind)
        np.testing.assert_array_equal(params["layer_0"]["down"]["kernel"], masked.state_dict()[name].numpy().T)


def test_what_is_converted_as_the_message_says_is_read(tmp_path):
    import transformers

    config = OTHER["bert"]
    masked = transformers.AutoModelForMaskedLM.from_config(
        transformers.AutoConfig.for_model("bert", **huggingface.fields(config))
    )
    masked.config.save_pretrained(tmp_path)
    torch.save(masked.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has none but pytorch_model\.bin") as caught:
        huggingface.read_params(tmp_path, config, 3)
    _, command = caught.value.fault.split("python -c ")
    subprocess.run([sys.executable, "-c", command.strip('"')], cwd=tmp_path, check=True)
    params = huggingface.read_params(tmp_path, config, 3)
    words = masked.state_dict()["bert.embeddings.word_embeddings.weight"].numpy()
    np.testing.assert_array_equal(params["word"]["embedding"], words)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--texts", "1"], "--texts 1: must be 2 or more"), (["--seed", "-1"], "--seed -1: must be 0 or more")],
)
def test_wrong_arguments(arguments, part, tmp_path):
    refused(text_parity.main, arguments, [part], tmp_path)
