"""The largest sizes that are taken for meant: above them is a slip, which is said before anything is traced or made."""

LAYERS = 2000
UNITS = 2**20  # of a layer, channels or features
WORDS = 2**24  # of a vocabulary
TOKENS = 2**16  # of a text
STEPS = 2**24  # of a training; weights and rates are tables of as many
SEEDS = 2**16
