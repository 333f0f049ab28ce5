# CIFAR-10, its 10,000 test images, by OpenAI's 18 templates.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/cifar10.py
# Needs: data/cifar10 (downloaded where it is not there)
dataset = dict(type="CIFAR10", data_root="data/cifar10", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates="openai_cifar100")
