"""bye-lint: the gate that keeps backdoored samples out of multimodal fine-tuning data."""

__version__ = "0.1.0"
