"""All statements that are covered, in the order of the paper."""

from theory import (
    eigenspace_statements,
    imperfect_teacher_statements,
    perfect_teacher_statements,
    probability_statements,
    theorem_statements,
)

STATEMENTS = (
    *eigenspace_statements.STATEMENTS,
    *probability_statements.STATEMENTS,
    *perfect_teacher_statements.STATEMENTS,
    *imperfect_teacher_statements.STATEMENTS,
    *theorem_statements.STATEMENTS,
)
