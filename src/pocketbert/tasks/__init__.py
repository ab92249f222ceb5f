"""One file per task type: columns, encoding, head, metrics. Needs neither torch nor transformers."""
