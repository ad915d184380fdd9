"""Accelerators as data: what they can do, after their makers, and how their compilers are told of them."""

import dataclasses
from collections.abc import Mapping

GB, GIB, TFLOP = 1e9, 2**30, 1e12


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    Attributes:
      name: as --for has it.
      platform: 'tpu' or 'cuda'.
      peak: FLOP/s of dense products of 'bfloat16', of 'float32' at full precision, and of float32 in 'three passes' of
        bfloat16 where there are such.
      bandwidth: bytes/s of its memory (HBM).
      memory: bytes of it.
      interconnect: bytes/s that a chip can send over all its links at once.
      source: where these numbers are from.
      slice_of: of TPUs the shape of a host, of which every slice is made.
      flops_a_cycle: of TPUs, in bfloat16: with the peak it gives the clock by which the compiler counts cycles.
      target: of GPUs, XLA's text of a target configuration, as a machine that has one gives it.
    """

    name: str
    platform: str
    peak: Mapping[str, float]
    bandwidth: float
    memory: float
    interconnect: float
    source: str
    slice_of: str = ""
    flops_a_cycle: float = 0.0
    target: str = ""

    @property
    def clock(self) -> float:
        """Cycles/s of a TPU."""
        return self.peak["bfloat16"] / self.flops_a_cycle


def _tpu(
    name: str, tflops: float, bandwidth: float, memory: float, links_gbit: float, cores: int, units: int, side: int
) -> Chip:
    """A TPU of so many cores with so many matrix units of side x side each; memory in GiB, bandwidth in GB/s.

    In float32 at full precision a product is six of bfloat16, three of them near enough for `models.evaluation`.
    """
    peak = tflops * TFLOP
    return Chip(
        name,
        "tpu",
        {"bfloat16": peak, "three passes": peak / 3, "float32": peak / 6},
        bandwidth * GB,
        memory * GIB,
        links_gbit / 8 * GB,
        f"https://cloud.google.com/tpu/docs/{name}",
        slice_of="2x2" if name in ("v5e", "v6e") else "2x2x1",
        flops_a_cycle=2.0 * cores * units * side**2,
    )


def _gpu(
    name: str,
    device: str,
    capability: str,
    *,
    tflops: float,
    float32: float,
    bandwidth: float,
    memory: int,
    links: float,
    cores: int,
    clock: float,
    cache: int,
    shared: tuple[int, int],
    source: str,
) -> Chip:
    """A GPU; bandwidth and links in GB/s, memory, cache and shared memory (a core's, a block's most) in bytes."""
    target = f"""
      gpu_device_info {{
        threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
        shared_memory_per_block: 49152 shared_memory_per_core: {shared[0]} shared_memory_per_block_optin: {shared[1]}
        core_count: {cores} fpus_per_core: {64 if capability.startswith("major: 8") else 128}
        block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
        memory_bandwidth: {round(bandwidth * GB)} l2_cache_size: {cache} clock_rate_ghz: {clock}
        device_memory_size: {memory} cuda_compute_capability {{ {capability} }}
        registers_per_core_limit: 65536 registers_per_block_limit: 65536 name: "{device}"
      }}
      platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 patch: 0 }} device_description_str: "{device}"
    """
    peak = {"bfloat16": tflops * TFLOP, "float32": float32 * TFLOP}
    return Chip(name, "cuda", peak, bandwidth * GB, memory, links * GB, source, target=" ".join(target.split()))


# What JAX calls a device, as far as it tells chips apart.
_KINDS = {
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v5": "v5p",
    "TPU v6 lite": "v6e",
    "TPU v6e": "v6e",
}
# A GPU's whole name: others of the same family, and parts of one, have other memories and clocks.
_KINDS |= {
    "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H200": "h200",
    "NVIDIA B200": "b200",
}


def of_device(kind: str) -> Chip | None:
    """The chip that JAX calls so (`device_kind`), None of another."""
    return CHIPS[_KINDS[kind]] if kind in _KINDS else None


_NVIDIA = "https://www.nvidia.com/en-us/data-center/"
CHIPS = {
    chip.name: chip
    for chip in (
        _tpu("v4", 275, 1228, 32, 2400, cores=2, units=4, side=128),
        _tpu("v5e", 197, 819, 16, 1600, cores=1, units=4, side=128),
        _tpu("v5p", 459, 2765, 95, 4800, cores=2, units=4, side=128),
        _tpu("v6e", 918, 1640, 32, 3584, cores=1, units=4, side=256),
        _gpu(
            "a100", "NVIDIA A100-SXM4-80GB", "major: 8 minor: 0", tflops=312, float32=19.5, bandwidth=2039,
            memory=85_095_874_560, links=300, cores=108, clock=1.41, cache=41_943_040, shared=(167_936, 166_912),
            source=f"{_NVIDIA}a100/",
        ),
        _gpu(
            "h100", "NVIDIA H100 80GB HBM3", "major: 9", tflops=989, float32=67, bandwidth=3352.32,
            memory=84_942_979_072, links=450, cores=132, clock=1.98, cache=52_428_800, shared=(233_472, 232_448),
            source=f"{_NVIDIA}h100/",
        ),
        _gpu(
            "h200", "NVIDIA H200", "major: 9", tflops=989, float32=67, bandwidth=4800,
            memory=150_754_820_096, links=450, cores=132, clock=1.98, cache=62_914_560, shared=(233_472, 232_448),
            source=f"{_NVIDIA}h200/",
        ),
        _gpu(
            "b200", "NVIDIA B200", "major: 10", tflops=2250, float32=80, bandwidth=8000,
            memory=191_503_138_816, links=900, cores=148, clock=1.965, cache=132_644_864, shared=(233_472, 232_448),
            source=f"{_NVIDIA}dgx-b200/",
        ),
    )
}  # fmt: skip
