"""A derivative as source code: for NumPy, torch and JAX, and as a torch.autograd.Function, each with its own check."""
