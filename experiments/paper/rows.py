"""Table 2 of the paper as data: 22 rows, each a teacher, a student and what the paper says of them.

And the pairs that its figures show beside these.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Pair:
    """A teacher and a student on a data set.

    Attributes:
      dataset, teacher, student: as Table 2 names them.
    """

    dataset: str
    teacher: str
    student: str

    @property
    def name(self) -> str:
        """A name for a folder, as in 'cifar100-resnet56-resnet20'."""
        networks = (network.lower().replace("-v2-1.0", "").replace("-", "") for network in (self.teacher, self.student))
        return "-".join([self.dataset.lower().replace(" ", "-"), *networks])

    @property
    def is_text(self) -> bool:
        """Whether it is of a data set of texts."""
        return self.teacher.startswith("RoBERTa")


@dataclasses.dataclass(frozen=True)
class Row(Pair):
    """One row of Table 2, accuracies in %.

    Attributes:
      train, test: accuracy of the teacher, the one-hot student and the distilled student.
    """

    train: tuple[float, float, float]
    test: tuple[float, float, float]


_MOBILENET = "MobileNet-v2-1.0"

TABLE_2 = (
    Row("CIFAR10", "ResNet-56", "ResNet-56", (100.00, 100.00, 100.00), (93.72, 93.72, 93.9)),
    Row("CIFAR10", "ResNet-56", "ResNet-20", (100.00, 99.95, 99.60), (93.72, 91.83, 92.94)),
    Row("CIFAR10", "ResNet-56", _MOBILENET, (100.00, 100.00, 99.96), (93.72, 85.11, 87.81)),
    Row("CIFAR10", _MOBILENET, _MOBILENET, (100.00, 100.00, 100.00), (85.11, 85.11, 86.76)),
    Row("CIFAR100", "ResNet-56", "ResNet-56", (99.97, 99.97, 97.01), (72.52, 72.52, 74.55)),
    Row("CIFAR100", "ResNet-56", "ResNet-20", (99.97, 94.31, 84.48), (72.52, 67.52, 70.87)),
    Row("CIFAR100", _MOBILENET, _MOBILENET, (99.97, 99.97, 99.96), (54.32, 54.32, 56.32)),
    Row("CIFAR100", "ResNet-56", _MOBILENET, (99.97, 99.97, 99.56), (72.52, 54.32, 62.4)),
    Row("CIFAR100 noise", "ResNet-56", "ResNet-56", (99.9, 99.9, 95.6), (69.8, 69.8, 72.7)),
    Row("CIFAR100 noise", "ResNet-56", "ResNet-20", (99.9, 91.4, 82.8), (69.8, 64.9, 69.2)),
    Row("Tiny-ImageNet", "ResNet-50", "ResNet-50", (98.62, 98.62, 94.84), (66, 66, 66.44)),
    Row("Tiny-ImageNet", "ResNet-50", "ResNet-18", (98.62, 93.51, 91.09), (66, 62.78, 63.98)),
    Row("Tiny-ImageNet", "ResNet-50", _MOBILENET, (98.62, 89.34, 87.90), (66, 62.75, 63.97)),
    Row("Tiny-ImageNet", _MOBILENET, _MOBILENET, (89.34, 89.34, 82.26), (62.75, 62.75, 63.28)),
    Row("MNLI", "RoBERTa-Base", "RoBERTa-Small", (92.9, 72.1, 72.6), (87.4, 69.9, 70.3)),
    Row("MNLI", "RoBERTa-Small", "RoBERTa-Small", (72.1, 72.1, 71.0), (69.9, 69.9, 69.9)),
    Row("MNLI", "RoBERTa-Medium", "RoBERTa-Medium", (88.2, 88.2, 85.6), (83.8, 83.8, 83.5)),
    Row("IMDB", "RoBERTa-Small", "RoBERTa-Small", (100.0, 100.0, 99.1), (90.4, 90.4, 91.0)),
    Row("QQP", "RoBERTa-Small", "RoBERTa-Small", (85.0, 85.0, 83.2), (83.5, 83.5, 82.5)),
    Row("QQP", "RoBERTa-Medium", "RoBERTa-Medium", (92.3, 92.3, 90.5), (89.7, 89.7, 89.0)),
    Row("AGNews", "RoBERTa-Small", "RoBERTa-Small", (96.5, 96.5, 95.9), (93.8, 93.8, 93.9)),
    Row("AGNews", "RoBERTa-Medium", "RoBERTa-Medium", (98.6, 98.6, 97.9), (94.6, 94.6, 94.6)),
)

IMAGE_ROWS = tuple(row for row in TABLE_2 if not row.is_text)

# Figures 8 and 10 name the data sets of their cross-architecture panels, and of 8 the networks. Those of 10 are taken
# to be the one such pair that Table 2 has.
CROSS_PAIRS = (
    Pair("MNLI", "RoBERTa-Base", "RoBERTa-Medium"),
    Pair("AGNews", "RoBERTa-Base", "RoBERTa-Medium"),
    Pair("AGNews", "RoBERTa-Base", "RoBERTa-Small"),
    Pair("QQP", "RoBERTa-Base", "RoBERTa-Small"),
    Pair("IMDB", "RoBERTa-Base", "RoBERTa-Small"),
)

# What the published version (arXiv 2301.12923) has besides, of which the text reproduced here has no numbers.
PUBLISHED_PAIRS = (Pair("ImageNet", "ResNet-50", "ResNet-50"),)
