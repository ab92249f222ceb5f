"""Text to batches: sources, readers of published layouts, the tokenised corpus, masks and order."""
