"""Knowledge distillation: signals, losses, objective, trainer, and the stages built from them."""
