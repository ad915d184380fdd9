"""scikit-learn's bundled handwritten digits: 1,797 images, no download."""

from typing import Any

import numpy as np

from distill_jax.data.dataset import Split
from distill_jax.data.sources.source import Raw, check_label
from distill_jax.data.subset import stratified
from distill_jax.setting import DataSetting

_TEST_EXAMPLES = 360
_SPLIT_SEED = 0


def read(setting: DataSetting) -> Raw:
    """1,437 training and 360 test images, uint8 [N, 8, 8, 1] in 0..16; id is the index in the bundle.

    The split is fixed, with 36 test images of each of the 10 classes.

    Raises:
      InputError: `data.label` names another label than 'label'.
    """
    from sklearn.datasets import load_digits

    check_label(setting, ["label"])
    bundle: Any = load_digits()
    x = bundle.images.astype(np.uint8)[..., None]
    label = bundle.target.astype(np.int32)
    examples = Split(x, label, label, np.arange(len(label), dtype=np.int64))
    test = stratified(label, _TEST_EXAMPLES, _SPLIT_SEED)
    return Raw(examples.take(np.setdiff1d(examples.id, test)), examples.take(test), num_classes=10)
