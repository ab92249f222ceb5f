"""Teachers (which families, how they are read) and students (shape, initialisation from teacher layers)."""
