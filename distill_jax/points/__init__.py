"""What a study says of each of its examples, in the files that others' tools read."""
