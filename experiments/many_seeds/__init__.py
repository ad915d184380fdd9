"""Values of hundreds of seeds: models of a seed in one traced function, seeds in batches, values kept as they come."""
