"""All statements that are covered, in the order of the paper."""

from theory import eigenspace_statements

STATEMENTS = (*eigenspace_statements.STATEMENTS,)
