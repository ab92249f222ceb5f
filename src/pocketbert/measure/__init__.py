"""What a run proves: quality and retention, speed and size, and the report that shows them."""
