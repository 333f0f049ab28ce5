"""Names of what every run leaves in its work dir, for those who write and those who read it.

Apart from everything else, so that tools which only aggregate need not load OpenMMLab.
"""

RECORD = "run.json"  # see hooks.RunRecordHook
FINAL = "final.pth"  # the weights that were evaluated last, without optimiser state
SCHEMA = 2  # of RECORD; those of schema 1 can still be read
