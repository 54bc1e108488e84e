"""The algorithm: tensors and TransferSettings in, tensors and losses out.

Nothing here knows YAML, manifests or processes. Needs torch, torchvision, numpy and pillow only.
"""
