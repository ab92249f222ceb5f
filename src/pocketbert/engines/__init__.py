"""What runs an exported student: ONNX Runtime or OpenVINO, without torch."""
