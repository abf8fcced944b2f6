"""`pannsdist export --precision fp16|int8`: smaller ONNX graphs, judged by the scores that they lose."""
