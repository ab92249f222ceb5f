"""The cached teacher: it speaks once, and what it said is read from disk from then on."""
