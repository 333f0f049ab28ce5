# COCO 2017, its 5,000 images for validation with their captions. (Published recalls are mostly of
# Karpathy's 5,000 test images of 2014: name their annotations here.)
#   tools/evaluate_clip.py CHECKPOINT --data configs/data_sets/coco_retrieval.py
# Needs: data/coco (val2017/, annotations/captions_val2017.json)
dataset = dict(
    type="rbdc_mm.CaptionedImages",
    data_root="data/coco",
    ann_file="annotations/captions_val2017.json",
    data_prefix="val2017",
    test_mode=True,
)
evaluator = dict(type="rbdc_mm.ImageTextRecall")
