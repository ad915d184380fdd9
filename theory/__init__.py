"""The paper's numbered statements, checked by machine: `python -m theory` (see theory/README.md).

It needs the extra `theory`, and of the rest of this project `compiler_faults` alone: no module here imports
`distill_jax`.
"""

import compiler_faults

compiler_faults.avoid()
