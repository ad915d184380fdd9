"""The paper's numbered statements, checked by machine: `python -m theory` (see theory/README.md).

It needs the extra `theory` and nothing else of this project: no module here imports `distill_jax`.
"""
