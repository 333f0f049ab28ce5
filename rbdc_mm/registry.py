"""Our registries: children of mmengine's, so that ``type='rbdc_mm.X'`` works in any config.

Configs register everything by ``custom_imports = dict(imports=['rbdc_mm.models',
'rbdc_mm.hooks', 'rbdc_mm.protocol'])``.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry, build_runner_from_cfg

MODELS = Registry("model", parent=MMENGINE_MODELS, scope="rbdc_mm", locations=["rbdc_mm.models"])
DATASETS = Registry(
    "dataset",
    parent=MMENGINE_DATASETS,
    scope="rbdc_mm",
    locations=["rbdc_mm.data.sharded_images", "rbdc_mm.data.captioned_images"],
)
TRANSFORMS = Registry(
    "transform",
    parent=MMENGINE_TRANSFORMS,
    scope="rbdc_mm",
    locations=["rbdc_mm.data.captioned_images"],
)
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="rbdc_mm", locations=["rbdc_mm.hooks"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optim wrapper constructor",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="rbdc_mm",
    locations=["rbdc_mm.models"],
)
METRICS = Registry(
    "metric", parent=MMENGINE_METRICS, scope="rbdc_mm", locations=["rbdc_mm.evaluation"]
)
LOOPS = Registry("loop", parent=MMENGINE_LOOPS, scope="rbdc_mm", locations=["rbdc_mm.evaluation"])
RUNNERS = Registry(
    "runner",
    build_func=build_runner_from_cfg,
    parent=MMENGINE_RUNNERS,
    scope="rbdc_mm",
    locations=["rbdc_mm.protocol"],
)
