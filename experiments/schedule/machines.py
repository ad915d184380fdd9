"""Machines as data: how many chips a program was compiled for, and what these cost by list prices, which change."""

import dataclasses

from experiments.compiled.chips import CHIPS


@dataclasses.dataclass(frozen=True)
class Price:
    """A list price on demand.

    Attributes:
      usd: dollars for a chip and an hour.
      where: whose, and of what.
      source: the seller's page.
      via: who has transcribed it from there; the page itself was not read for this.
      read: the date on which they had.
    """

    usd: float
    where: str
    source: str
    via: str
    read: str


@dataclasses.dataclass(frozen=True)
class Machine:
    """What trains one portion of a study at a time.

    Attributes:
      name: of the chip.
      target: for what its programs were compiled, as `experiments.compiled --for` has it.
      chips: of it.
      prices: the first is the one that costs are by.
    """

    name: str
    target: str
    chips: int
    prices: tuple[Price, ...]

    @property
    def memory_gib(self) -> float:
        """Of a chip."""
        return CHIPS[self.name].memory / 2**30

    def of(self, chips: int) -> tuple[int, float]:
        """How many of them so many chips are, and how many times as long each then takes.

        >>> [MACHINES["v5e"].of(chips) for chips in (1, 8, 512)]
        [(1, 4.0), (2, 1.0), (128, 1.0)]
        """
        return max(chips // self.chips, 1), self.chips / min(chips, self.chips)


_TPU_PRICES = "https://cloud.google.com/tpu/pricing"
_CATALOG = "https://cloud.google.com/billing/v1/how-tos/catalog-api"
_NOTES = "notes in public repositories; some name other prices"
_TABLE = "https://github.com/tgarg01/silybench-data, derived/csv/gpu_prices.csv"
MACHINES = {
    machine.name: machine
    for machine in (
        Machine("v5e", "v5e:2x2", 4, (Price(1.20, "Google Cloud, us-west4", _TPU_PRICES, _NOTES, "2026-09-27"),)),
        Machine(
            "h100",
            "h100",
            1,
            (
                Price(3.99, "Lambda, 8 x H100 SXM", "https://lambda.ai/pricing", _TABLE, "2026-09-25"),
                Price(10.98, "Google Cloud, a3-highgpu, us-central1", _CATALOG, _TABLE, "2026-09-26"),
            ),
        ),
    )
}
