"""Growing vision backbones from smaller trained parents (RBDC and others) on OpenMMLab.

Importing this package loads nothing heavy: planning and aggregating need no torch. The registered
classes come with their rooms (``custom_imports = dict(imports=['rbdc_mm.models', ...])``).
"""

__version__ = "0.1.0"
