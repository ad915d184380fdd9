"""How fast this tool is: against the hardware's roofline, and against PyTorch in the same run.

    python -m experiments.throughput [--quick] [--rows PATTERN] [--json FILE] [--figure FILE.png]

`grid` says what is measured, `data` on what, `ours` and `peer` run the two sides (`ours` is the one module that knows
the library's trainer), `rounds` lets them take turns, `flops` and `roofline` say what the machine could do, `results`
keeps the file, `table` and `picture` show it.
"""
