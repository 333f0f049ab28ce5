# CIFAR-100, its 10,000 test images, by OpenAI's 18 templates.
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/cifar100.py
# Needs: data/cifar100 (downloaded where it is not there)
dataset = dict(type="CIFAR100", data_root="data/cifar100", split="test")
evaluator = dict(type="rbdc_mm.ZeroShotAccuracy", templates="openai_cifar100")
