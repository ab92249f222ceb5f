"""Files that engines run, and the proof that they answer like the model they were made from."""
