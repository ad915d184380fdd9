"""Trained networks as files that others load: arrays with what they are of, programs of JAX's and of ONNX."""
