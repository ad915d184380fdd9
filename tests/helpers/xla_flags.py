"""How XLA compiles in the tests."""


def xla_flags(devices: int) -> str:
    """For so many virtual CPU devices, without the optimisation that programs of milliseconds do not need.

    Two thirds of the tests' time was that optimisation.
    """
    return f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=1"
