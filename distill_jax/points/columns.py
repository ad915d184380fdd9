"""The columns of a table of examples: of each its name, kind, meaning, unit and source.

The long form has a row for each example, split, seed, step and student, so that a student is a column to filter and
colour by, as tables of one shape serve every tool; in the wide form each student would bring some thirty columns of
its own, and each study other ones.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["int64", "int32", "bool", "float32", "string", "class", "image"]
OTHER = "_independent"  # ends the names of columns whose class and order another seed's teacher has chosen


class Column(NamedTuple):
    """A column.

    Attributes:
      name: as the file has it.
      kind: 'class' is the number of a class, int64; 'image' a struct of the PNG file's bytes and its path.
      what: it says.
      unit: of its numbers; empty where they have none.
      source: where it comes from.
    """

    name: str
    kind: Kind
    what: str
    unit: str = ""
    source: str = "dumps"


_DEVIATIONS = "measures.deviations, section 3.1"
_FIDELITY = "measures.fidelity"
_PLACE = (
    Column("id", "int64", "the example's number in its split, as in dumps and in `distill-jax ids`"),
    Column("split", "string", "train or test"),
    Column("seed", "int32", "repetition of the study, from 0"),
    Column("step", "int32", "of the student's and the control's training; the teacher's is its last", "steps"),
    Column("student", "string", "name of the student's dumps"),
)
SHOWN = (
    Column(
        "image",
        "image",
        "the picture that the network was given, before augmentation; each pixel as a square if it is small",
        source="the data",
    ),
    Column("text", "string", "the text that the network was given, or its features", source="the data"),
)
NAMES = (
    Column("label_name", "string", "name of the label", source="the data"),
    Column("true_label_name", "string", "name of the true label", source="the data"),
)
_LABELS = (
    Column("label", "class", "as training saw it"),
    Column("true_label", "class", "before label noise"),
)


def _chosen(ending: str, by: str) -> tuple[Column, ...]:
    return (
        Column(f"X{ending}", "float32", f"phi of the teacher's probability of {by}", "nats", _DEVIATIONS),
        Column(f"Y{ending}", "float32", "phi of the student's probability of the same class", "nats", _DEVIATIONS),
        Column(f"gap{ending}", "float32", "Y - X; below 0 the example is underfit", "nats", _DEVIATIONS),
        Column(f"tenth{ending}", "int32", "1 of the hardest to 10 of the easiest examples", "", _DEVIATIONS),
        Column(f"hard{ending}", "bool", "whether it is of the first tenth", "", _DEVIATIONS),
    )


_MEASURES = (
    Column("mislabelled", "bool", "whether the label is not the true one", source=_DEVIATIONS),
    *_chosen("", "the class that it predicts; the order of hardness is by this X, as in the paper"),
    Column(
        f"class{OTHER}",
        "class",
        "the class that another seed's teacher predicts; its control, where all seeds have one teacher",
        source=_DEVIATIONS,
    ),
    *_chosen(OTHER, "that class; the order of hardness is the other model's, which has not this teacher's luck"),
    Column("X_label", "float32", "phi of the teacher's probability of the label", "nats", _DEVIATIONS),
    Column("Y_label", "float32", "phi of the student's probability of the label", "nats", _DEVIATIONS),
    Column("teacher_prediction", "class", "the teacher's most probable class"),
    Column("student_prediction", "class", "the student's"),
    Column("control_prediction", "class", "that of the control, a second one-hot model, at the same step"),
    Column("teacher_probability", "float32", "that the teacher gives the label", "probability"),
    Column("student_probability", "float32", "that the student gives the label", "probability"),
    Column("control_probability", "float32", "that the control gives the label", "probability"),
    Column("teacher_correct", "bool", "whether the teacher predicts the label", source=_DEVIATIONS),
    Column("student_correct", "bool", "whether the student predicts the label", source=_DEVIATIONS),
    Column("teacher_right", "bool", "whether the teacher predicts the true label", source=_FIDELITY),
    Column("agree", "bool", "whether teacher and student predict the same class", source=_FIDELITY),
    Column("top_k_overlap", "float32", "of the teacher's likeliest classes those in the student's", "share", _FIDELITY),
    Column("kl", "float32", "KL(teacher || student)", "nats", _FIDELITY),
    Column("jensen_shannon", "float32", "Jensen-Shannon divergence of teacher and student", "nats", _FIDELITY),
    Column("rank_correlation", "float32", "Spearman's, over the classes that are not the label", "", _FIDELITY),
    Column("blocked", "bool", "whether the student gives none of these classes more than the teacher", "", _FIDELITY),
    Column("confidence", "float32", "the student's highest probability", "probability", _FIDELITY),
    Column("teacher_entropy", "float32", "of the teacher's probabilities", "nats", _FIDELITY),
    Column("student_entropy", "float32", "of the student's probabilities", "nats", _FIDELITY),
)


def columns(shown: Literal["image", "text"] | None, named: bool) -> list[Column]:
    """The columns of a table, in order.

    Args:
      shown: what of each example is there to be looked at.
      named: whether classes have names.
    """
    return [
        *_PLACE,
        *(column for column in SHOWN if column.name == shown),
        *_LABELS,
        *(NAMES if named else ()),
        *_MEASURES,
    ]


def schema(table: Sequence[Column], names: Sequence[str] | None, about: Mapping[str, Any]) -> Any:
    """The Arrow schema of a table, whose metadata say of each column what it is.

    They are JSON: under 'distill_jax' `about` and the columns' meaning, unit and source; under 'huggingface' the
    features as the library datasets has them, by which it decodes images and names classes.
    """
    import pyarrow as pa

    types = {"class": pa.int64(), "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())])}
    fields = [pa.field(c.name, types[c.kind] if c.kind in types else pa.type_for_alias(c.kind)) for c in table]
    said = {c.name: {"what": c.what, "unit": c.unit, "source": c.source} for c in table}
    features = {c.name: _feature(c.kind, names) for c in table}
    metadata = {"distill_jax": {**about, "columns": said}, "huggingface": {"info": {"features": features}}}
    return pa.schema(fields, metadata={name: json.dumps(value) for name, value in metadata.items()})


def _feature(kind: Kind, names: Sequence[str] | None) -> dict[str, Any]:
    if kind == "image":
        return {"_type": "Image"}
    if kind == "class" and names is not None:
        return {"names": list(names), "_type": "ClassLabel"}
    return {"dtype": "int64" if kind == "class" else kind, "_type": "Value"}
