"""mmcv's ops without a compiler: torchvision's kernels and plain torch behind mmcv's own functions.

mmdet cannot be imported without ``mmcv._ext``, which only a compiler makes. `mmcv_ext` has what
mmdet and mmpretrain ask of it; ``python -m rbdc_mm.ops install`` puts it into place as
``mmcv/_ext.py``, where a compiled extension beside it takes precedence.
"""
