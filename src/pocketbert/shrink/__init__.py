"""Smaller students: layers, heads, neurons and pieces that matter least are taken out, weights become int8."""
